//! What a link leads to, and how often it is sent.

use std::fs;

use serde_json::json;
use time::Duration;
use warp_skeleton::features::{identity::Role, jobs::Outcome};

use super::Mailbox;

#[tokio::test]
async fn asking_again_sends_the_same_link_later_and_later() {
    let mailbox = Mailbox::start().await;
    let user = mailbox.app.user().create().await;
    mailbox.forgot(&user.email).await;
    let first = Mailbox::only(mailbox.receive().await, "reset_password").token();

    // A stranger asks at once.
    mailbox.forgot(&user.email).await.assert_status(202);
    assert!(mailbox.receive().await.is_empty());
    mailbox.app.advance(Duration::seconds(61));
    mailbox.forgot(&user.email).await;
    let second = Mailbox::only(mailbox.receive().await, "reset_password").token();
    assert_eq!(second, first);
    mailbox.app.advance(Duration::seconds(61));
    mailbox.forgot(&user.email).await;
    assert!(mailbox.receive().await.is_empty());

    mailbox
        .reset(&first, "marked-password-new")
        .await
        .assert_status(204);
}

#[tokio::test]
async fn it_leads_where_the_settings_say_and_not_where_a_request_does() {
    let page = [("MAIL_LINK_RESET", "https://app.example.com/reset?from=mail")];
    let mailbox = Mailbox::with(&page).await;
    let user = mailbox.app.user().create().await;
    let body = serde_json::json!({"email": user.email});
    let spoofed = mailbox
        .app
        .post("/auth/password/forgot")
        .header("forwarded", "host=evil.example");
    let spoofed = spoofed
        .header("x-forwarded-host", "evil.example")
        .json(&body);
    spoofed.send().await.assert_status(202);
    let mail = Mailbox::only(mailbox.receive().await, "reset_password");
    assert!(
        mail.text
            .contains("https://app.example.com/reset?from=mail#token="),
        "{}",
        mail.text
    );

    let public = Mailbox::with(&[("PUBLIC_URL", "https://api.example.com")]).await;
    let user = public.app.user().create().await;
    let body = serde_json::json!({"email": user.email});
    let spoofed = public
        .app
        .post("/auth/password/forgot")
        .header("forwarded", "host=evil.example");
    spoofed.json(&body).send().await.assert_status(202);
    let mail = Mailbox::only(public.receive().await, "reset_password");
    assert!(
        mail.text
            .contains("https://api.example.com/account/reset#token="),
        "{}",
        mail.text
    );
    assert!(!mail.text.contains("evil"));
}

#[tokio::test]
async fn the_built_in_pages_load_nothing_from_elsewhere() {
    let app = crate::support::TestApp::start().await;
    for (path, media_type) in [
        ("/account/verify", "text/html"),
        ("/account/reset", "text/html"),
        ("/account/email", "text/html"),
        ("/account/account.css", "text/css"),
        ("/account/account.js", "text/javascript"),
    ] {
        let answer = app.get(path).send().await;
        answer.assert_status(200);
        assert!(answer.header("content-type").starts_with(media_type));
        if media_type == "text/html" {
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
            assert!(!policy.contains("unsafe"));
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            let text = answer.text();
            assert!(
                !text.contains("{title}") && !text.contains("style=") && !text.contains("<script>")
            );
            assert!(text.contains("<noscript>"));
        }
    }
}

#[tokio::test]
async fn what_is_over_is_swept() {
    let mailbox = Mailbox::start().await;
    let user = mailbox.app.user().create().await;
    mailbox.forgot(&user.email).await;
    mailbox.receive().await;
    let database = mailbox.app.database().await;
    let kept =
        "INSERT INTO recovery_requests VALUES (gen_random_uuid(), 'a@marked.example', NULL, now())";
    database.batch_execute(kept).await.unwrap();
    let left = async || {
        let requests = "SELECT (SELECT count(*) FROM mail_requests) + (SELECT count(*) FROM recovery_requests)";
        mailbox.app.count(requests).await
    };
    assert_eq!(left().await, 2);

    // The schedule begins when a worker first sees it.
    mailbox.receive().await;
    mailbox.app.advance(Duration::hours(2));
    mailbox.receive().await;
    assert_eq!(left().await, 1);
    mailbox.app.advance(Duration::days(32));
    mailbox.receive().await;
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn a_link_that_could_not_be_sent_for_hours_is_sent_and_good_from_then_on() {
    let mailbox = Mailbox::start().await;
    let user = mailbox.app.user().create().await;
    // Nothing can be written where a file is.
    fs::write(&mailbox.folder, "").unwrap();
    mailbox.forgot(&user.email).await.assert_status(202);
    for _ in 0..20 {
        let ended = mailbox.app.run_due_jobs().await;
        assert!(!ended.contains(&Outcome::Dead), "{ended:?}");
        mailbox.app.advance(Duration::minutes(12));
    }
    // Asking again while it waits brings no second one.
    mailbox.forgot(&user.email).await.assert_status(202);
    mailbox.app.run_due_jobs().await;
    fs::remove_file(&mailbox.folder).unwrap();
    mailbox.app.advance(Duration::minutes(12));

    let mail = Mailbox::only(mailbox.receive().await, "reset_password");

    mailbox.app.advance(Duration::minutes(29));
    let reset = mailbox.reset(&mail.token(), "marked-password-new").await;
    reset.assert_status(204);
}

#[tokio::test]
async fn a_link_that_became_void_does_not_keep_the_next_one_waiting() {
    let mailbox = Mailbox::start().await;
    let (user, token) = mailbox.app.signed_in(Role::Member).await;
    mailbox.forgot(&user.email).await;
    let void = Mailbox::only(mailbox.receive().await, "reset_password").token();
    let body = json!({"current_password": user.password, "new_password": "marked-password-new"});
    let call = mailbox.app.post("/auth/password").bearer(&token);
    call.json(&body).send().await.assert_status(204);
    Mailbox::only(mailbox.receive().await, "password_changed");

    mailbox.forgot(&user.email).await;
    let next = Mailbox::only(mailbox.receive().await, "reset_password").token();

    let refused = mailbox.reset(&void, "marked-password-third").await;
    refused.assert_problem(422, "token_invalid");
    let reset = mailbox.reset(&next, "marked-password-third").await;
    reset.assert_status(204);
}

#[tokio::test]
async fn a_mailbox_gets_ten_at_once_whoever_asks_for_them() {
    let limits = [("RATE_LIMIT", "on"), ("RATE_LIMIT_AUTH_BURST", "100")];
    let mailbox = Mailbox::with(&limits).await;
    let mut sent = 0;
    for _ in 0..12 {
        let (user, token) = mailbox.app.signed_in(Role::Member).await;
        let body = json!({"email": "victim@marked.example", "current_password": user.password});
        let call = mailbox.app.patch("/auth/me").bearer(&token);
        call.json(&body).send().await.assert_status(202);
        sent += mailbox.receive().await.len();
    }

    assert_eq!(sent, 10);
}

#[tokio::test]
async fn what_strangers_have_sent_keeps_no_link_of_the_owner_away() {
    let limits = [("RATE_LIMIT", "on"), ("RATE_LIMIT_AUTH_BURST", "100")];
    let mailbox = Mailbox::with(&limits).await;
    let owner = mailbox.app.user().create().await;
    for _ in 0..11 {
        let (stranger, token) = mailbox.app.signed_in(Role::Member).await;
        let body = json!({"email": owner.email, "current_password": stranger.password});
        let call = mailbox.app.patch("/auth/me").bearer(&token);
        call.json(&body).send().await.assert_status(202);
    }
    assert_eq!(mailbox.receive().await.len(), 10);

    let body = json!({"email": owner.email});
    let forgotten = mailbox.app.post("/auth/password/forgot").json(&body);
    forgotten.send().await.assert_status(202);

    Mailbox::only(mailbox.receive().await, "reset_password");
}
