//! `POST /auth/keys/{id}/rotate`

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use warp_skeleton::features::identity::Role;

use super::{TestKey, list, shown, try_create, with_key};
use crate::support::{Answer, TestApp};

async fn rotate(app: &TestApp, token: &str, key: &TestKey) -> Answer {
    let path = format!("/auth/keys/{}/rotate", key.id);
    app.post(&path).bearer(token).send().await
}

fn time_of(key: &Value, field: &str) -> OffsetDateTime {
    OffsetDateTime::parse(key[field].as_str().unwrap(), &Rfc3339).unwrap()
}

#[tokio::test]
async fn both_keys_are_good_for_a_while_and_then_the_new_one() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    let body = json!({"name": "report", "scopes": ["account:read"], "expires_in_days": 7});
    let old = shown(&try_create(&app, &token, &body).await);
    app.advance(Duration::minutes(5));

    let answer = rotate(&app, &token, &old).await;

    let new = shown(&answer);
    let view = answer.json();
    assert_eq!(
        (&view["name"], &view["scopes"]),
        (&body["name"], &body["scopes"])
    );
    let lifetime = time_of(&view, "expires_at") - time_of(&view, "created_at");
    assert_eq!(lifetime, Duration::days(7));
    // The list says until when the old one lives: KEY_OVERLAP_HOURS is 24.
    let listed = list(&app, &token).await;
    let overlap = time_of(&listed[0], "expires_at") - time_of(&view, "created_at");
    assert_eq!((listed.len(), overlap), (2, Duration::hours(24)));
    for key in [&old, &new] {
        app.me(&key.key).await.assert_status(200);
    }
    app.advance(Duration::hours(25));
    app.me(&old.key).await.assert_problem(401, "invalid_token");
    app.me(&new.key).await.assert_status(200);
}

#[tokio::test]
async fn a_key_is_rotated_once_and_can_be_revoked_meanwhile() {
    let app = TestApp::start().await;
    let (user, token, old) = with_key(&app).await;
    rotate(&app, &token, &old).await.assert_status(201);

    let again = rotate(&app, &token, &old).await;
    again.assert_problem(404, "not_found");
    let path = format!("/auth/keys/{}", old.id);
    app.delete(&path)
        .bearer(&token)
        .send()
        .await
        .assert_status(204);

    app.me(&old.key).await.assert_problem(401, "invalid_token");
    assert_eq!(app.keys_of(&user).await, ["owner", "live"]);
}

#[tokio::test]
async fn of_two_who_rotate_a_key_at_once_one_does() {
    let app = TestApp::start().await;
    let replica = app.replica();
    let (user, token, key) = with_key(&app).await;

    let (one, two) = tokio::join!(rotate(&app, &token, &key), rotate(&replica, &token, &key));

    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 404]);
    assert_eq!(app.keys_of(&user).await, ["rotation", "live"]);
}

#[tokio::test]
async fn without_an_overlap_the_old_key_is_over_at_once() {
    let app = TestApp::with(&[("KEY_OVERLAP_HOURS", "0")]).await;
    let (_, token, old) = with_key(&app).await;

    rotate(&app, &token, &old).await.assert_status(201);

    app.me(&old.key).await.assert_problem(401, "invalid_token");
    assert_eq!(list(&app, &token).await.len(), 1);
}

#[tokio::test]
async fn a_key_that_expires_during_the_overlap_does() {
    let app = TestApp::with(&[("KEY_OVERLAP_HOURS", "72")]).await;
    let (_, token) = app.signed_in(Role::Admin).await;
    let body = json!({"name": "report", "scopes": ["account:read"], "expires_in_days": 1});
    let old = shown(&try_create(&app, &token, &body).await);
    rotate(&app, &token, &old).await.assert_status(201);

    app.advance(Duration::days(1));

    app.me(&old.key).await.assert_problem(401, "invalid_token");
}
