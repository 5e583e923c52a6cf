//! `POST /auth/password/forgot`, `POST /auth/password/reset` and `POST /users/{id}/password-reset`

use futures_util::future::join_all;
use time::Duration;
use warp_skeleton::features::identity::Role;

use super::Mailbox;

const NEW: &str = "marked-password-new";

#[tokio::test]
async fn whoever_reads_the_mail_chooses_a_new_password() {
    let mailbox = Mailbox::start().await;
    let (user, token) = mailbox.app.signed_in(Role::Member).await;

    mailbox.forgot(&user.email).await.assert_status(202);

    let mail = Mailbox::only(mailbox.receive().await, "reset_password");
    assert_eq!(mail.to, user.email);
    mailbox.reset(&mail.token(), NEW).await.assert_status(204);
    let old = mailbox.app.try_sign_in(&user.email, &user.password).await;
    old.assert_problem(401, "invalid_credentials");
    mailbox
        .app
        .try_sign_in(&user.email, NEW)
        .await
        .assert_status(200);
    // Whoever was in is out.
    mailbox
        .app
        .me(&token)
        .await
        .assert_problem(401, "invalid_token");
    let again = mailbox.reset(&mail.token(), "marked-password-third").await;
    again.assert_problem(422, "token_invalid");
}

/// Or whoever asks something right after the answer would notice the work that an address with an account makes.
#[tokio::test]
async fn an_account_is_looked_for_some_time_after_the_answer() {
    let mailbox = Mailbox::start().await;
    for number in 0..4 {
        let email = format!("nobody{number}@marked.example");
        mailbox.forgot(&email).await.assert_status(202);
    }

    let sql = "SELECT EXTRACT(EPOCH FROM run_at - created_at)::float8 FROM jobs WHERE kind = 'recovery.forgotten'";
    let rows = mailbox.app.database().await.query(sql, &[]).await.unwrap();
    let delays: Vec<f64> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(delays.len(), 4);
    assert!(
        delays.iter().all(|delay| (0.0..=1.6).contains(delay)),
        "{delays:?}"
    );
    assert!(
        delays.iter().any(|delay| (delay - delays[0]).abs() > 0.001),
        "{delays:?}"
    );
}

#[tokio::test]
async fn an_address_without_an_account_is_answered_alike_and_gets_no_mail() {
    let mailbox = Mailbox::start().await;
    let known = mailbox.app.user().create().await;
    let disabled = mailbox.app.user().disabled().create().await;

    let answers = join_all(
        [
            known.email.as_str(),
            &disabled.email,
            "nobody@marked.example",
        ]
        .map(|email| mailbox.forgot(email)),
    )
    .await;

    for answer in &answers {
        answer.assert_status(202);
        assert_eq!(answer.body, answers[0].body);
        let names = |answer: &crate::support::Answer| {
            let mut names: Vec<_> = answer.headers.keys().cloned().collect();
            names.sort_by_key(ToString::to_string);
            names
        };
        assert_eq!(names(answer), names(&answers[0]));
    }
    let mail = Mailbox::only(mailbox.receive().await, "reset_password");
    assert_eq!(mail.to, known.email);
    assert_eq!(
        mailbox
            .app
            .count("SELECT count(*) FROM recovery_requests")
            .await,
        0
    );
}

#[tokio::test]
async fn twenty_at_once_use_a_token_once() {
    let mailbox = Mailbox::start().await;
    let user = mailbox.app.user().create().await;
    mailbox.forgot(&user.email).await;
    let token = Mailbox::only(mailbox.receive().await, "reset_password").token();

    let passwords: Vec<_> = (0..20).map(|number| format!("{NEW}-{number}")).collect();
    let tries = passwords
        .iter()
        .map(|password| mailbox.reset(&token, password));
    let answers = join_all(tries).await;

    let won = answers.iter().filter(|answer| answer.status == 204).count();
    assert_eq!(won, 1);
    for answer in answers.iter().filter(|answer| answer.status != 204) {
        answer.assert_problem(422, "token_invalid");
    }
    assert_eq!(mailbox.receive().await.len(), 1, "one notice");
}

#[tokio::test]
async fn a_token_is_void_after_its_time_and_after_another_password() {
    let mailbox = Mailbox::start().await;
    let user = mailbox.app.user().create().await;
    mailbox.forgot(&user.email).await;
    let late = Mailbox::only(mailbox.receive().await, "reset_password").token();
    mailbox.app.advance(Duration::minutes(31));
    mailbox
        .reset(&late, NEW)
        .await
        .assert_problem(422, "token_invalid");

    mailbox.forgot(&user.email).await;
    let void = Mailbox::only(mailbox.receive().await, "reset_password").token();
    mailbox.app.advance(Duration::minutes(1));
    let token = mailbox.app.sign_in(&user).await.access;
    let body = serde_json::json!({"current_password": user.password, "new_password": NEW});
    let changed = mailbox
        .app
        .post("/auth/password")
        .bearer(&token)
        .json(&body)
        .send()
        .await;
    changed.assert_status(204);
    mailbox
        .reset(&void, "marked-password-third")
        .await
        .assert_problem(422, "token_invalid");
}

#[tokio::test]
async fn a_password_that_would_be_refused_elsewhere_is_refused_and_the_link_stays_good() {
    let mailbox = Mailbox::start().await;
    let user = mailbox.app.user().create().await;
    mailbox.forgot(&user.email).await;
    let token = Mailbox::only(mailbox.receive().await, "reset_password").token();

    mailbox
        .reset(&token, "short")
        .await
        .assert_invalid(&["/new_password too_short"]);

    mailbox.reset(&token, NEW).await.assert_status(204);
}

#[tokio::test]
async fn an_administrator_has_a_link_sent_and_chooses_nothing() {
    let mailbox = Mailbox::start().await;
    let (admin, token) = mailbox.app.signed_in(Role::Admin).await;
    let (_, member_token) = mailbox.app.signed_in(Role::Member).await;
    let user = mailbox.app.user().create().await;
    let owner = mailbox.app.user().role(Role::Owner).create().await;
    let ask = async |token: &str, id: String| {
        let path = format!("/users/{id}/password-reset");
        mailbox.app.post(&path).bearer(token).send().await
    };

    ask(&member_token, user.id.to_string())
        .await
        .assert_problem(403, "insufficient_role");
    ask(&token, owner.id.to_string())
        .await
        .assert_problem(403, "insufficient_level");
    let nobody = uuid::Uuid::now_v7().to_string();
    ask(&token, nobody).await.assert_problem(404, "not_found");
    ask(&token, admin.id.to_string()).await.assert_status(202);
    mailbox.receive().await;
    ask(&token, user.id.to_string()).await.assert_status(202);

    let mail = Mailbox::only(mailbox.receive().await, "reset_password");
    assert_eq!(mail.to, user.email);
    mailbox.reset(&mail.token(), NEW).await.assert_status(204);
}

#[tokio::test]
async fn without_mail_it_says_so() {
    let app = crate::support::TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    let body = serde_json::json!({"email": "a@marked.example"});
    let forgot = app.post("/auth/password/forgot").json(&body).send().await;
    forgot.assert_problem(501, "mail_off");
    let verification = app
        .post("/auth/email/verification")
        .bearer(&token)
        .send()
        .await;
    verification.assert_problem(501, "mail_off");
    assert_eq!(
        app.count("SELECT count(*) FROM jobs WHERE kind LIKE 'recovery%'")
            .await,
        0
    );
}

#[tokio::test]
async fn the_link_of_an_account_that_was_disabled_meanwhile_is_good_for_nothing() {
    let mailbox = Mailbox::start().await;
    let user = mailbox.app.user().create().await;
    mailbox.forgot(&user.email).await;
    let token = Mailbox::only(mailbox.receive().await, "reset_password").token();
    let database = mailbox.app.database().await;
    let sql = "UPDATE users SET is_active = $1 WHERE email = $2";
    database.execute(sql, &[&false, &user.email]).await.unwrap();

    let refused = mailbox.reset(&token, NEW).await;
    refused.assert_problem(422, "token_invalid");

    // Nothing was used up.
    database.execute(sql, &[&true, &user.email]).await.unwrap();
    mailbox.reset(&token, NEW).await.assert_status(204);
}
