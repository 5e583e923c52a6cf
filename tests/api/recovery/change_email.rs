//! `PATCH /auth/me` with mail, and `POST /auth/email/change`

use serde_json::json;
use warp_skeleton::features::identity::Role;

use super::Mailbox;
use crate::support::{Answer, TestUser};

const NEW: &str = "moved@marked.example";
const PATH: &str = "/auth/email/change";

async fn ask(mailbox: &Mailbox, user: &TestUser, token: &str, email: &str) -> Answer {
    let body = json!({"email": email, "current_password": user.password});
    mailbox
        .app
        .patch("/auth/me")
        .bearer(token)
        .json(&body)
        .send()
        .await
}

#[tokio::test]
async fn a_new_address_counts_when_it_was_confirmed_from_there() {
    let mailbox = Mailbox::start().await;
    let (user, token) = mailbox.app.signed_in(Role::Member).await;

    let answer = ask(&mailbox, &user, &token, "Moved@Marked.example").await;

    answer.assert_status(202);
    assert_eq!(answer.json(), json!({"pending_email": NEW}));
    assert_eq!(mailbox.app.me(&token).await.json()["email"], user.email);
    let mail = Mailbox::only(mailbox.receive().await, "confirm_address");
    assert_eq!(mail.to, NEW);
    let body = json!({"token": mail.token(), "password": user.password});
    mailbox.post(PATH, &body).await.assert_status(204);
    assert_eq!(mailbox.app.me(&token).await.json()["email"], NEW);
    assert!(mailbox.is_verified(NEW).await);
    let told = Mailbox::only(mailbox.receive().await, "address_changed");
    assert_eq!(told.to, user.email);
    assert!(told.text.contains(NEW));
    assert_eq!(
        mailbox
            .app
            .count("SELECT count(*) FROM recovery_requests")
            .await,
        0
    );
    mailbox
        .post(PATH, &body)
        .await
        .assert_problem(422, "token_invalid");
}

#[tokio::test]
async fn a_taken_address_is_told_to_whoever_reads_its_mail_alone() {
    let mailbox = Mailbox::start().await;
    let (user, token) = mailbox.app.signed_in(Role::Member).await;
    let other = mailbox.app.user().create().await;

    let answer = ask(&mailbox, &user, &token, &other.email).await;

    answer.assert_status(202);
    let mail = Mailbox::only(mailbox.receive().await, "address_taken");
    assert_eq!(mail.to, other.email);
    assert!(!mail.text.contains("#token="));
}

#[tokio::test]
async fn an_address_that_was_taken_meanwhile_is_refused_and_nothing_is_lost() {
    let mailbox = Mailbox::start().await;
    let (user, token) = mailbox.app.signed_in(Role::Member).await;
    ask(&mailbox, &user, &token, NEW).await.assert_status(202);
    let link = Mailbox::only(mailbox.receive().await, "confirm_address").token();
    mailbox.app.user().email(NEW).create().await;

    let body = json!({"token": link, "password": user.password});
    mailbox
        .post(PATH, &body)
        .await
        .assert_problem(409, "email_taken");

    assert_eq!(mailbox.app.me(&token).await.json()["email"], user.email);
    let open = "SELECT count(*) FROM mail_requests WHERE completed_at IS NULL";
    assert_eq!(mailbox.app.count(open).await, 1);
}

#[tokio::test]
async fn another_address_replaces_the_one_that_was_asked_for() {
    let mailbox = Mailbox::start().await;
    let (user, token) = mailbox.app.signed_in(Role::Member).await;
    ask(&mailbox, &user, &token, "wrong@marked.example").await;
    let wrong = Mailbox::only(mailbox.receive().await, "confirm_address").token();
    ask(&mailbox, &user, &token, NEW).await;
    let right = Mailbox::only(mailbox.receive().await, "confirm_address");
    assert_eq!(right.to, NEW);

    let call = |link: String| {
        let call = mailbox
            .app
            .post(PATH)
            .bearer(&token)
            .json(&json!({"token": link}));
        call.send()
    };
    call(wrong).await.assert_problem(422, "token_invalid");
    call(right.token()).await.assert_status(204);
    assert_eq!(mailbox.app.me(&token).await.json()["email"], NEW);
}

#[tokio::test]
async fn the_mark_goes_with_the_address_whoever_writes_it() {
    let mailbox = Mailbox::start().await;
    let user = mailbox.app.user().create().await;
    assert!(mailbox.is_verified(&user.email).await);
    // As a replica of the release before does.
    let database = mailbox.app.database().await;
    let sql = "UPDATE users SET email = $2, updated_at = now() WHERE email = $1";
    database.execute(sql, &[&user.email, &NEW]).await.unwrap();
    assert!(!mailbox.is_verified(NEW).await);
    let sql = "UPDATE users SET email = $2, email_verified_at = now() WHERE email = $1";
    database.execute(sql, &[&NEW, &user.email]).await.unwrap();
    assert!(mailbox.is_verified(&user.email).await);
}
