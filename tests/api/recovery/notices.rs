//! What the owner of an account is told.

use serde_json::json;
use warp_skeleton::features::identity::Role;

use super::Mailbox;

#[tokio::test]
async fn another_password_is_told() {
    let mailbox = Mailbox::start().await;
    let (user, token) = mailbox.app.signed_in(Role::Member).await;
    let body = json!({"current_password": user.password, "new_password": "marked-password-new"});
    let changed = mailbox
        .app
        .post("/auth/password")
        .bearer(&token)
        .json(&body)
        .send()
        .await;
    changed.assert_status(204);

    let mail = Mailbox::only(mailbox.receive().await, "password_changed");
    assert_eq!(mail.to, user.email);
}

#[tokio::test]
async fn a_sign_in_by_another_program_is_told_and_one_by_the_same_is_not() {
    let mailbox = Mailbox::start().await;
    let user = mailbox.app.user().create().await;
    let sign_in = async |program: &str| {
        let body = json!({"email": user.email, "password": user.password});
        let call = mailbox
            .app
            .post("/auth/token")
            .header("user-agent", program);
        call.json(&body).send().await.assert_status(200);
        mailbox.receive().await
    };

    assert!(
        sign_in("first").await.is_empty(),
        "there was nothing to compare with"
    );
    assert!(sign_in("first").await.is_empty());
    let mail = Mailbox::only(sign_in("<b>other</b>").await, "new_sign_in");
    assert_eq!(mail.to, user.email);
    let (_, html) = mail.text.split_once("text/html").unwrap();
    assert!(
        html.contains("&lt;b&gt;other") && !html.contains("<b>other"),
        "{html}"
    );
    assert!(sign_in("<b>other</b>").await.is_empty());
}

#[tokio::test]
async fn a_sign_in_from_elsewhere_is_told_although_no_session_is_left() {
    let mailbox = Mailbox::start().await;
    let user = mailbox.app.user().create().await;
    let visit = async |ip: &str| {
        let body = json!({"email": user.email, "password": user.password});
        let call = mailbox.app.post("/auth/token").from(ip).json(&body);
        let answer = call.send().await.assert_status(200).json();
        let access = answer["access_token"].as_str().unwrap().to_owned();
        let out = mailbox.app.post("/auth/logout").bearer(&access);
        out.send().await.assert_status(204);
        let gone = "DELETE FROM sessions WHERE revoked_at IS NOT NULL";
        let database = mailbox.app.database().await;
        database.batch_execute(gone).await.unwrap();
        mailbox.receive().await
    };

    assert!(visit("192.0.2.1").await.is_empty());
    assert!(visit("192.0.2.1").await.is_empty());
    let mail = Mailbox::only(visit("198.51.100.1").await, "new_sign_in");
    assert_eq!(mail.to, user.email);
    assert!(visit("198.51.100.1").await.is_empty());
    assert!(visit("192.0.2.1").await.is_empty());
}

#[tokio::test]
async fn whoever_signs_in_does_so_without_a_queue_for_the_notice() {
    let mailbox = Mailbox::start().await;
    let user = mailbox.app.user().create().await;
    let sign_in = async |program: &str| {
        let body = json!({"email": user.email, "password": user.password});
        let call = mailbox.app.post("/auth/token");
        let call = call.header("user-agent", program).json(&body);
        call.send().await.assert_status(200);
    };
    sign_in("first").await;
    let database = mailbox.app.database().await;
    database.batch_execute("DROP TABLE jobs").await.unwrap();

    sign_in("other").await;

    let sessions = mailbox.app.count("SELECT count(*) FROM sessions").await;
    assert_eq!(sessions, 2);
}

#[tokio::test]
async fn a_change_that_fails_is_told_to_nobody() {
    let mailbox = Mailbox::start().await;
    let (_, token) = mailbox.app.signed_in(Role::Member).await;
    let body =
        json!({"current_password": "marked-password-wrong", "new_password": "marked-password-new"});
    let refused = mailbox
        .app
        .post("/auth/password")
        .bearer(&token)
        .json(&body)
        .send()
        .await;
    refused.assert_problem(422, "current_password_incorrect");

    assert!(mailbox.receive().await.is_empty());
}
