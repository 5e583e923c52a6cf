//! `POST /auth/email/verify`, and `GET` and `POST /auth/email/verification`

use serde_json::json;
use time::Duration;
use warp_skeleton::features::identity::Role;

use super::Mailbox;

const EMAIL: &str = "new@marked.example";
const PASSWORD: &str = "marked-password-mine";
const PATH: &str = "/auth/email/verify";

/// A registered account, and the token of the link that its address was sent.
async fn registered(mailbox: &Mailbox) -> String {
    mailbox.register(EMAIL, PASSWORD).await.assert_status(201);
    let mail = Mailbox::only(mailbox.receive().await, "verify_address");
    assert_eq!(mail.to, EMAIL);
    mail.token()
}

#[tokio::test]
async fn the_link_and_the_password_verify_the_address_once() {
    let mailbox = Mailbox::start().await;
    let token = registered(&mailbox).await;
    assert!(!mailbox.is_verified(EMAIL).await);

    let body = json!({"token": token, "password": PASSWORD});
    mailbox.post(PATH, &body).await.assert_status(204);

    assert!(mailbox.is_verified(EMAIL).await);
    mailbox
        .post(PATH, &body)
        .await
        .assert_problem(422, "token_invalid");
}

#[tokio::test]
async fn whoever_is_signed_in_to_the_account_needs_no_password() {
    let mailbox = Mailbox::start().await;
    let token = registered(&mailbox).await;
    let answer = mailbox.app.try_sign_in(EMAIL, PASSWORD).await;
    let access = answer.json()["access_token"].as_str().unwrap().to_owned();

    let call = mailbox
        .app
        .post(PATH)
        .bearer(&access)
        .json(&json!({"token": token}));

    call.send().await.assert_status(204);
    assert!(mailbox.is_verified(EMAIL).await);
}

#[tokio::test]
async fn the_link_alone_verifies_nothing() {
    let mailbox = Mailbox::start().await;
    // A stranger registered this address; its owner has the link, and an account elsewhere.
    let token = registered(&mailbox).await;
    let (_, other) = mailbox.app.signed_in(Role::Member).await;

    let alone = mailbox.post(PATH, &json!({"token": token})).await;
    alone.assert_invalid(&["/password required"]);
    let signed_in = mailbox
        .app
        .post(PATH)
        .bearer(&other)
        .json(&json!({"token": token}));
    signed_in
        .send()
        .await
        .assert_invalid(&["/password required"]);
    let wrong = json!({"token": token, "password": "marked-password-wrong"});
    let wrong = mailbox.post(PATH, &wrong).await;
    wrong.assert_problem(422, "current_password_incorrect");
    let forged = mailbox
        .app
        .post(PATH)
        .bearer("marked-secret")
        .json(&json!({"token": token}));
    forged.send().await.assert_problem(401, "invalid_token");

    assert!(!mailbox.is_verified(EMAIL).await);
    // A wrong password leaves the token as it was.
    let right = json!({"token": token, "password": PASSWORD});
    mailbox.post(PATH, &right).await.assert_status(204);
}

#[tokio::test]
async fn a_token_is_good_for_its_own_purpose() {
    let mailbox = Mailbox::start().await;
    let token = registered(&mailbox).await;
    let reset = mailbox.reset(&token, "marked-password-new").await;
    reset.assert_problem(422, "token_invalid");
    for nonsense in [
        "",
        "a",
        &"A".repeat(64),
        &"+".repeat(64),
        &"A".repeat(5_000),
    ] {
        let body = json!({"token": nonsense, "password": PASSWORD});
        mailbox
            .post(PATH, &body)
            .await
            .assert_problem(422, "token_invalid");
    }
}

#[tokio::test]
async fn one_can_ask_for_the_link_again_and_what_is_verified_gets_none() {
    let mailbox = Mailbox::start().await;
    let token = registered(&mailbox).await;
    let answer = mailbox.app.try_sign_in(EMAIL, PASSWORD).await;
    let access = answer.json()["access_token"].as_str().unwrap().to_owned();
    let ask = async || {
        let call = mailbox.app.post("/auth/email/verification").bearer(&access);
        call.send().await.assert_status(202);
        mailbox.receive().await
    };
    mailbox.app.advance(Duration::minutes(2));

    assert_eq!(Mailbox::only(ask().await, "verify_address").token(), token);
    let body = json!({"token": token, "password": PASSWORD});
    mailbox.post(PATH, &body).await.assert_status(204);
    assert!(ask().await.is_empty());
}

#[tokio::test]
async fn who_signs_in_has_a_verified_address_where_that_is_required() {
    let mailbox = Mailbox::with(&[("REQUIRE_VERIFIED_EMAIL", "on")]).await;
    let token = registered(&mailbox).await;

    let unverified = mailbox.app.try_sign_in(EMAIL, PASSWORD).await;
    unverified.assert_problem(403, "email_unverified");
    let wrong = mailbox
        .app
        .try_sign_in(EMAIL, "marked-password-wrong")
        .await;
    wrong.assert_problem(401, "invalid_credentials");
    let form = [
        ("grant_type", "password"),
        ("username", EMAIL),
        ("password", PASSWORD),
    ];
    let form = mailbox.app.post("/auth/token").form(&form).send().await;
    assert_eq!(
        (form.status.as_u16(), form.json()["error"].as_str()),
        (400, Some("invalid_grant"))
    );

    let body = json!({"token": token, "password": PASSWORD});
    mailbox.post(PATH, &body).await.assert_status(204);
    mailbox
        .app
        .try_sign_in(EMAIL, PASSWORD)
        .await
        .assert_status(200);
    // The operator vouches for accounts that it makes.
    let user = mailbox.app.user().create().await;
    assert!(mailbox.is_verified(&user.email).await);
    mailbox.app.sign_in(&user).await;
}

async fn known(mailbox: &Mailbox, access: &str) -> serde_json::Value {
    let call = mailbox.app.get("/auth/email/verification").bearer(access);
    call.send().await.assert_status(200).json()
}

#[tokio::test]
async fn an_account_sees_whether_its_address_is_verified_and_which_is_to_come() {
    let mailbox = Mailbox::start().await;
    let token = registered(&mailbox).await;
    let answer = mailbox.app.try_sign_in(EMAIL, PASSWORD).await;
    let access = answer.json()["access_token"].as_str().unwrap().to_owned();
    let nothing = json!({"verified": false, "pending_email": null});
    assert_eq!(known(&mailbox, &access).await, nothing);

    let body = json!({"token": token, "password": PASSWORD});
    mailbox.post(PATH, &body).await.assert_status(204);
    let body = json!({"email": "next@marked.example", "current_password": PASSWORD});
    let change = mailbox.app.patch("/auth/me").bearer(&access).json(&body);
    change.send().await.assert_status(202);

    let both = json!({"verified": true, "pending_email": "next@marked.example"});
    assert_eq!(known(&mailbox, &access).await, both);
    let verified = json!({"verified": true, "pending_email": null});
    let (_, other) = mailbox.app.signed_in(Role::Member).await;
    assert_eq!(known(&mailbox, &other).await, verified);
    // The link is good for a day once it was sent.
    mailbox.receive().await;
    mailbox.app.advance(Duration::hours(25));
    let later = mailbox.app.try_sign_in(EMAIL, PASSWORD).await;
    let access = later.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(known(&mailbox, &access).await, verified);
}

#[tokio::test]
async fn a_wrong_password_is_noted_as_a_failure() {
    let mailbox = Mailbox::start().await;
    let token = registered(&mailbox).await;

    let body = json!({"token": token, "password": "marked-password-wrong"});
    let refused = mailbox.post(PATH, &body).await;

    refused.assert_problem(422, "current_password_incorrect");
    let metrics = mailbox.app.get("/metrics").send().await.text();
    let line = "auth_events_total{event=\"email_verify\",outcome=\"refused\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}
