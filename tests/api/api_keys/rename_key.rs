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
