//! What a link leads to, and how often it is sent.

use time::Duration;

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
    mailbox.app.advance(Duration::days(8));
    mailbox.receive().await;
    assert_eq!(left().await, 0);
}
