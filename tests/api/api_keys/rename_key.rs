//! `PATCH /auth/keys/{id}`

use serde_json::json;
use warp_skeleton::features::identity::Role;

use super::{list, with_key};
use crate::support::TestApp;

#[tokio::test]
async fn a_key_gets_another_name_and_stays_what_it_is() {
    let app = TestApp::start().await;
    let (_, token, key) = with_key(&app).await;
    let path = format!("/auth/keys/{}", key.id);
    let rename = |body| app.patch(&path).bearer(&token).json(&body).send();

    let renamed = rename(json!({"name": "monthly"})).await;

    renamed.assert_status(200);
    assert_eq!(renamed.json()["name"], "monthly");
    assert_eq!(list(&app, &token).await, [renamed.json()]);
    app.me(&key.key).await.assert_status(200);
    let empty = rename(json!({"name": ""})).await;
    empty.assert_invalid(&["/name too_short"]);
    let more = rename(json!({"name": "a", "scopes": ["users:write"]})).await;
    more.assert_problem(422, "validation_failed");
}

#[tokio::test]
async fn nobody_elses_key_is_seen_renamed_rotated_or_revoked() {
    let app = TestApp::start().await;
    let (_, _, key) = with_key(&app).await;
    let (_, other) = app.signed_in(Role::Owner).await;
    assert!(list(&app, &other).await.is_empty());
    for id in [
        key.id.as_str(),
        "019a0000-0000-7000-8000-000000000000",
        "no-id",
    ] {
        let path = format!("/auth/keys/{id}");
        let rename = app.patch(&path).json(&json!({"name": "mine"}));
        let rotate = app.post(&format!("{path}/rotate"));
        for call in [rename, rotate, app.delete(&path)] {
            call.bearer(&other)
                .send()
                .await
                .assert_problem(404, "not_found");
        }
    }
    app.me(&key.key).await.assert_status(200);
}

/// Requests of the account that is to be stopped must not join each other on its row for ever, past an administrator who waits
/// to change it.
#[tokio::test]
async fn who_is_to_be_disabled_keeps_nobody_away_by_requests_of_their_own() {
    let app = TestApp::start().await;
    let (user, token, first) = with_key(&app).await;
    let second = app.key_of(user.id, &["account:read"]).await;
    let (_, admin) = app.signed_in(Role::Admin).await;
    let mut database = app.database().await;
    let held = database.transaction().await.unwrap();
    let lock = "SELECT FROM api_keys WHERE id::text = $1 FOR UPDATE";
    held.execute(lock, &[&first.id]).await.unwrap();
    let rename = |id: &str| {
        let call = app.patch(&format!("/auth/keys/{id}")).bearer(&token);
        call.json(&json!({"name": "mine"})).send()
    };

    let disable = async {
        wait_until(&app, 1).await;
        let call = app.patch(&format!("/users/{}", user.id)).bearer(&admin);
        call.json(&json!({"is_active": false})).send().await
    };
    let late = async {
        wait_until(&app, 2).await;
        rename(&second.id).await
    };
    let release = async {
        wait_until(&app, 3).await;
        held.commit().await.unwrap();
    };
    let (early, disabled, late, ()) = tokio::join!(rename(&first.id), disable, late, release);

    early.assert_status(200);
    disabled.assert_status(200);
    late.assert_problem(401, "invalid_token");
}

/// Waits until so many statements wait for a lock.
async fn wait_until(app: &TestApp, waiting: i64) {
    let sql = "
SELECT count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let started = std::time::Instant::now();
    while app.count(sql).await < waiting {
        assert!(started.elapsed().as_secs() < 4, "{waiting} do not wait");
        tokio::task::yield_now().await;
    }
}
