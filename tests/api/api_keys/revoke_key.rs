//! `DELETE /auth/keys/{id}`, `GET, DELETE /users/{id}/keys…`, and `POST /auth/revoke` of a key.

use warp_skeleton::features::{api_keys::ApiKey, identity::Role};

use super::{TestKey, list, with_key};
use crate::support::{Answer, TestApp, TestUser};

async fn present(app: &TestApp, token: &str) -> Answer {
    let form = [("token", token)];
    app.post("/auth/revoke").form(&form).send().await
}

#[tokio::test]
async fn a_revoked_key_is_over_and_the_others_are_not() {
    let app = TestApp::start().await;
    let (user, token, key) = with_key(&app).await;
    let other = app.key_of(user.id, &["account:read"]).await;
    let path = format!("/auth/keys/{}", key.id);

    app.delete(&path)
        .bearer(&token)
        .send()
        .await
        .assert_status(204);

    app.me(&key.key).await.assert_problem(401, "invalid_token");
    app.me(&other.key).await.assert_status(200);
    assert_eq!(list(&app, &token).await.len(), 1);
    assert_eq!(app.keys_of(&user).await, ["owner", "live"]);
    let again = app.delete(&path).bearer(&token).send().await;
    again.assert_problem(404, "not_found");
}

#[tokio::test]
async fn whoever_finds_a_key_can_end_it_on_every_replica() {
    let app = TestApp::start().await;
    let replica = app.replica();
    let (user, _, key) = with_key(&app).await;

    let ended = present(&replica, &key.key).await;

    ended.assert_status(200);
    assert!(ended.body.is_empty());
    app.me(&key.key).await.assert_problem(401, "invalid_token");
    assert_eq!(app.keys_of(&user).await, ["presented"]);
    // Whatever it was: over, unknown, or with a mistake in it.
    for token in [&key.key, ApiKey::generate().expose(), &key.key[..30]] {
        present(&app, token).await.assert_status(200);
    }
    assert_eq!(app.keys_of(&user).await, ["presented"]);
}

#[tokio::test]
async fn a_guess_at_a_key_counts_as_any_other_guess() {
    let limits = [("RATE_LIMIT", "on"), ("RATE_LIMIT_AUTH_BURST", "3")];
    let app = TestApp::with(&limits).await;
    for _ in 0..3 {
        let guess = ApiKey::generate();
        present(&app, guess.expose()).await.assert_status(200);
    }

    let limited = present(&app, ApiKey::generate().expose()).await;

    limited.assert_problem(429, "too_many_requests");
}

/// A user of this role with a key.
async fn keyed(app: &TestApp, role: Role) -> (TestUser, TestKey) {
    let user = app.user().role(role).create().await;
    let key = app.key_of(user.id, &["account:read"]).await;
    (user, key)
}

#[tokio::test]
async fn administrators_see_and_end_the_keys_of_their_own_level_and_below() {
    let app = TestApp::start().await;
    let (_, admin) = app.signed_in(Role::Admin).await;
    for role in Role::ALL {
        let (user, key) = keyed(&app, role).await;
        let path = format!("/users/{}/keys", user.id);

        let listed = app.get(&path).bearer(&admin).send().await;
        let revoke = app.delete(&format!("{path}/{}", key.id)).bearer(&admin);
        let revoked = revoke.send().await;

        if role > Role::Admin {
            for refused in [listed, revoked] {
                refused.assert_problem(403, "insufficient_level");
            }
            app.me(&key.key).await.assert_status(200);
        } else {
            listed.assert_status(200);
            assert_eq!(listed.json()["items"][0]["id"], key.id);
            assert!(!listed.text().contains(&key.key));
            revoked.assert_status(204);
            app.me(&key.key).await.assert_problem(401, "invalid_token");
            assert_eq!(app.keys_of(&user).await, ["administrator"]);
        }
    }
}

#[tokio::test]
async fn a_key_is_found_below_its_owner_alone() {
    let app = TestApp::start().await;
    let (_, admin) = app.signed_in(Role::Admin).await;
    let (_, key) = keyed(&app, Role::Member).await;
    let (other, _) = keyed(&app, Role::Member).await;
    let nobody = "019a0000-0000-7000-8000-000000000000";

    let elsewhere = format!("/users/{}/keys/{}", other.id, key.id);
    for path in [elsewhere, format!("/users/{nobody}/keys/{}", key.id)] {
        let refused = app.delete(&path).bearer(&admin).send().await;
        refused.assert_problem(404, "not_found");
    }
    let path = format!("/users/{nobody}/keys");
    let unknown = app.get(&path).bearer(&admin).send().await;
    unknown.assert_problem(404, "not_found");
    app.me(&key.key).await.assert_status(200);
}

#[tokio::test]
async fn what_happens_to_keys_is_logged_and_counted() {
    let app = TestApp::start().await;
    let (_, token, key) = with_key(&app).await;
    let path = format!("/auth/keys/{}", key.id);
    let renamed = app.patch(&path).bearer(&token);
    let renamed = renamed.json(&serde_json::json!({"name": "nightly"}));
    renamed.send().await.assert_status(200);
    let rotated = app.post(&format!("{path}/rotate")).bearer(&token);
    rotated.send().await.assert_status(201);
    let call = app.delete(&path).bearer(&token);
    let call = call.header("x-correlation-id", "revokes-a-key");
    call.send().await.assert_status(204);

    let metrics = app.app.operations.metrics().unwrap();
    for event in ["key_create", "key_rename", "key_rotate", "key_revoke"] {
        let series = format!("auth_events_total{{event=\"{event}\",outcome=\"success\"}} 1");
        assert!(metrics.contains(&series), "{series}");
    }
    let lines = crate::support::leaks::lines_of("revokes-a-key");
    let line = lines.iter().find(|line| line["message"] == "auth_event");
    assert_eq!(line.unwrap()["key_id"], key.id);
}
