//! Connections that are kept between messages.

use std::time::Duration;

use super::{
    mail, message,
    server::{At, Fault, SmtpServer},
};

#[tokio::test]
async fn messages_share_a_connection_also_after_one_was_refused() {
    let server = SmtpServer::start();
    let (mail, _) = mail(&[("MAIL_URL", &server.url())]);

    mail.send(message("one@example.org")).await.unwrap();
    server.fail(At::Rcpt, Fault::Reply("550 5.1.1 no such user"));
    mail.send(message("two@example.org")).await.unwrap_err();
    server.recover();
    mail.send(message("three@example.org")).await.unwrap();

    assert_eq!(server.connections(), 1);
    let to: Vec<_> = server
        .messages()
        .into_iter()
        .flat_map(|message| message.to)
        .collect();
    assert_eq!(to, ["TO:<one@example.org>", "TO:<three@example.org>"]);
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_costs_no_message() {
    let server = SmtpServer::start();
    let (mail, _) = mail(&[("MAIL_URL", &server.url())]);
    mail.send(message("one@example.org")).await.unwrap();

    server.hang_up();
    mail.send(message("two@example.org")).await.unwrap();

    assert_eq!(server.connections(), 2);
    assert_eq!(server.messages().len(), 2);
}

/// What lettre's own pool does not hold: it takes back a connection that is in the middle of a message.
#[tokio::test]
async fn a_message_that_was_cancelled_never_mixes_with_the_next_one() {
    for at in [At::Mail, At::Rcpt, At::Data, At::Content] {
        let server = SmtpServer::start();
        let (mail, _) = mail(&[("MAIL_URL", &server.url())]);
        mail.send(message("zero@example.org")).await.unwrap();
        server.fail(at, Fault::Delay(Duration::from_millis(300)));

        let first = tokio::time::timeout(
            Duration::from_millis(100),
            mail.send(message("first@example.org")),
        );
        assert!(first.await.is_err(), "it was to be cancelled");
        server.recover();
        server.fail(At::Rcpt, Fault::Reply("550 5.1.1 no such user"));
        let second = mail.send(message("second@example.org")).await;

        let second = second.unwrap_err().to_string();
        assert_eq!(
            second, "the SMTP server refused the recipient: 550 5.1.1",
            "{at:?}"
        );
        for message in server.messages() {
            assert_eq!(message.to.len(), 1);
            let to = message.header("To").unwrap();
            assert_eq!(message.to[0], format!("TO:<{to}>"), "{at:?}");
            assert_eq!(message.content.matches("Message-ID:").count(), 1, "{at:?}");
        }
    }
}

#[tokio::test]
async fn many_at_once_arrive_each_at_its_recipient() {
    let server = SmtpServer::start();
    let (mail, _) = mail(&[("MAIL_URL", &server.url())]);
    let recipients: Vec<_> = (0..40).map(|n| format!("n{n}@example.org")).collect();

    let sent = recipients.iter().map(|to| mail.send(message(to)));
    for outcome in futures_util::future::join_all(sent).await {
        outcome.unwrap();
    }

    let mut arrived: Vec<_> = server
        .messages()
        .into_iter()
        .map(|message| {
            let to = message.header("To").unwrap();
            assert_eq!(message.to, [format!("TO:<{to}>")]);
            to
        })
        .collect();
    arrived.sort_unstable();
    let mut expected = recipients.clone();
    expected.sort_unstable();
    assert_eq!(arrived, expected);
}
