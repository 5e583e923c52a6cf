//! `POST /auth/register` that is neutral or closed

use serde_json::json;

use super::Mailbox;
use crate::support::TestApp;

const EMAIL: &str = "new@marked.example";
const PASSWORD: &str = "marked-password-mine";

#[tokio::test]
async fn a_neutral_registration_tells_nobody_but_the_owner_of_the_address() {
    let mailbox = Mailbox::with(&[("REGISTRATION", "neutral")]).await;
    let user = mailbox.app.user().create().await;

    let new = mailbox.register(EMAIL, PASSWORD).await;
    let taken = mailbox.register(&user.email, PASSWORD).await;

    new.assert_status(202);
    taken.assert_status(202);
    assert_eq!(new.body, taken.body);
    let mut mails = mailbox.receive().await;
    mails.sort_by(|one, other| one.template.cmp(&other.template));
    let told: Vec<_> = mails
        .iter()
        .map(|mail| (mail.template.as_str(), mail.to.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("already_registered", user.email.as_str()),
            ("verify_address", EMAIL)
        ]
    );
    mailbox
        .app
        .try_sign_in(EMAIL, PASSWORD)
        .await
        .assert_status(200);
    mailbox.app.sign_in(&user).await;
    let body = json!({"token": mails[1].token(), "password": PASSWORD});
    mailbox
        .post("/auth/email/verify", &body)
        .await
        .assert_status(204);
    assert_eq!(
        mailbox
            .app
            .count("SELECT count(*) FROM recovery_requests")
            .await,
        0
    );
}

#[tokio::test]
async fn two_neutral_registrations_of_one_address_make_one_account() {
    let mailbox = Mailbox::with(&[("REGISTRATION", "neutral")]).await;
    let passwords = [PASSWORD, "marked-password-other"];
    for password in passwords {
        let registered = mailbox.register(EMAIL, password).await;
        registered.assert_status(202);
    }

    mailbox.receive().await;

    assert_eq!(mailbox.app.count("SELECT count(*) FROM users").await, 1);
    // The jobs run beside each other, and either may be first.
    let mut outcomes = Vec::new();
    for password in passwords {
        let answer = mailbox.app.try_sign_in(EMAIL, password).await;
        outcomes.push(answer.status.as_u16());
    }
    outcomes.sort_unstable();
    assert_eq!(outcomes, [200, 401]);
}

#[tokio::test]
async fn a_neutral_registration_is_checked_like_any_other() {
    let mailbox = Mailbox::with(&[("REGISTRATION", "neutral")]).await;
    mailbox
        .register("no address", "short")
        .await
        .assert_invalid(&["/email invalid_email"]);
    mailbox
        .register(EMAIL, "short")
        .await
        .assert_invalid(&["/password too_short"]);
}

#[tokio::test]
async fn a_closed_registration_is_refused() {
    let app = TestApp::with(&[("REGISTRATION", "closed")]).await;
    let body = json!({"email": EMAIL, "password": PASSWORD});
    let answer = app.post("/auth/register").json(&body).send().await;
    answer.assert_problem(403, "registration_closed");
    assert_eq!(app.count("SELECT count(*) FROM users").await, 0);
}
