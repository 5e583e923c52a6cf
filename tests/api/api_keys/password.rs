//! What another password does to keys.

use serde_json::{Value, json};
use warp_skeleton::features::identity::{Email, Password};

use super::with_key;
use crate::support::{TestApp, TestUser};

const NEW: &str = "marked-password-new";

async fn change(app: &TestApp, user: &TestUser, token: &str, revokes: Option<bool>) {
    let mut body = json!({"current_password": user.password, "new_password": NEW});
    if let Some(revokes) = revokes {
        body["revoke_api_keys"] = Value::Bool(revokes);
    }
    let call = app.post("/auth/password").bearer(token).json(&body);
    call.send().await.assert_status(204);
}

#[tokio::test]
async fn who_changes_a_password_decides_about_the_keys() {
    for (revokes, status, state) in [
        (None, 200, "live"),
        (Some(false), 200, "live"),
        (Some(true), 401, "password"),
    ] {
        let app = TestApp::start().await;
        let (user, token, key) = with_key(&app).await;

        change(&app, &user, &token, revokes).await;

        app.replica().me(&key.key).await.assert_status(status);
        assert_eq!(app.keys_of(&user).await, [state]);
    }
}

#[tokio::test]
async fn a_change_of_password_that_is_refused_ends_no_key() {
    let app = TestApp::start().await;
    let (_, token, key) = with_key(&app).await;
    let body = json!({
        "current_password": "marked-password-wrong",
        "new_password": NEW,
        "revoke_api_keys": true,
    });

    let refused = app.post("/auth/password").bearer(&token).json(&body);

    let refused = refused.send().await;
    refused.assert_problem(422, "current_password_incorrect");
    app.me(&key.key).await.assert_status(200);
}

#[tokio::test]
async fn a_password_that_an_operator_sets_ends_all_keys_of_that_account() {
    let app = TestApp::start().await;
    let (user, token, key) = with_key(&app).await;
    let (_, _, others) = with_key(&app).await;
    let rotate = format!("/auth/keys/{}/rotate", key.id);
    app.post(&rotate)
        .bearer(&token)
        .send()
        .await
        .assert_status(201);
    let email = Email::parse(&user.email).unwrap();
    let new = Password::parse(&NEW.to_owned().into(), &email, app.auth.policy()).unwrap();

    app.auth.set_password(user.id, new).await.unwrap();

    // The one in its overlap as well.
    assert_eq!(app.keys_of(&user).await, ["password", "password"]);
    app.me(&key.key).await.assert_problem(401, "invalid_token");
    app.me(&others.key).await.assert_status(200);
}

// recovery: begin
#[tokio::test]
async fn a_password_that_is_set_by_a_link_ends_all_keys() {
    let mailbox = crate::recovery::Mailbox::start().await;
    let (user, _, key) = with_key(&mailbox.app).await;
    mailbox.receive().await;
    mailbox.forgot(&user.email).await.assert_status(202);
    let mails = mailbox.receive().await;
    let token = mails.last().unwrap().token();

    mailbox.reset(&token, NEW).await.assert_status(204);

    let refused = mailbox.app.replica().me(&key.key).await;
    refused.assert_problem(401, "invalid_token");
    assert_eq!(mailbox.app.keys_of(&user).await, ["password"]);
    // Nothing is left to tell of.
    let mails = mailbox.receive().await;
    let notice = mails.last().unwrap();
    assert_eq!(notice.template, "password_changed");
    assert!(!notice.text.contains("still act"), "{}", notice.text);
}

#[tokio::test]
async fn the_notice_of_a_changed_password_lists_the_keys_that_live() {
    let mailbox = crate::recovery::Mailbox::start().await;
    let (user, token, key) = with_key(&mailbox.app).await;
    // As names were that were given before control characters were refused.
    let sql = "UPDATE api_keys SET name = E'<i>nightly</i>\\n\\nNothing to do.' WHERE id = $1";
    let id: uuid::Uuid = key.id.parse().unwrap();
    mailbox
        .app
        .database()
        .await
        .execute(sql, &[&id])
        .await
        .unwrap();
    mailbox.receive().await;

    change(&mailbox.app, &user, &token, None).await;

    let mails = mailbox.receive().await;
    let notice = mails.last().unwrap();
    assert_eq!(notice.template, "password_changed");
    assert!(!notice.text.contains("\nNothing"), "{}", notice.text);
    let text = notice.text.replace("\r\n", " ").replace('\n', " ");
    let start = &key.key[..warp_skeleton::features::api_keys::PREFIX.len() + 5];
    assert!(text.contains("still act"), "{text}");
    assert!(text.contains("the API key <i>nightly</i>"), "{text}");
    assert!(text.contains("&lt;i&gt;nightly"), "{text}");
    assert!(text.contains(start) && !text.contains(&key.key), "{text}");
}
// recovery: end
