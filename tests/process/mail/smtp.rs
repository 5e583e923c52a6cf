//! What the server may say and do, and what becomes of the message.

use super::{
    FROM, TO, mail, message, send_test,
    server::{At, Fault, Offer, SmtpServer},
};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use warp_skeleton::features::mail::Message;

use crate::{
    collector::{Collector, attribute},
    support::{complaint, printed},
};

#[test]
fn a_message_is_handed_over_and_the_answer_is_shown() {
    let server = SmtpServer::start();

    let said = printed(&send_test(&[("MAIL_URL", &server.url())]));

    assert_eq!(
        said,
        format!(
            "127.0.0.1:{} took the message: 250 2.0.0 queued as 4711\n",
            server.port
        )
    );
    let [message] = &server.messages()[..] else {
        panic!("{:?}", server.messages());
    };
    assert_eq!(message.from, "FROM:<no-reply@acme.example>");
    assert_eq!(message.to, [format!("TO:<{TO}>")]);
    let header = |name| message.header(name).unwrap();
    assert_eq!(header("From"), "Acme <no-reply@acme.example>");
    assert_eq!(header("To"), TO);
    assert_eq!(header("Subject"), "Test of the mail of warp-skeleton");
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert!(header("Date").ends_with(" +0000"));
    assert!(header("Content-Type").starts_with("multipart/alternative;"));
    let id = header("Message-ID");
    let id = id
        .strip_prefix('<')
        .and_then(|id| id.strip_suffix("@acme.example>"));
    assert!(id.unwrap().parse::<uuid::Uuid>().is_ok());
    assert_eq!(server.lines()[0], "EHLO acme.example");
}

#[test]
fn the_product_is_called_by_its_name() {
    let server = SmtpServer::start();
    let name = ("MAIL_PRODUCT_NAME", "Caf\u{e9} <b>&");

    printed(&send_test(&[("MAIL_URL", &server.url()), name]));

    let message = server.messages().remove(0);
    assert!(message.header("Subject").unwrap().contains("=?utf-8?b?"));
    assert!(message.content.is_ascii());
    assert!(message.content.contains("Caf=C3=A9 <b>&"));
    assert!(message.content.contains("Caf=C3=A9 &lt;b&gt;&amp;"));
}

/// Where a refusal concerns the message, and where it concerns the service.
const STAGES: [(At, &str, bool); 7] = [
    (At::Connect, "the connection", false),
    (At::Ehlo, "the connection", false),
    (At::Auth, "user and password", false),
    (At::Mail, "the sender, MAIL_FROM", true),
    (At::Rcpt, "the recipient", true),
    (At::Data, "the beginning of the message", true),
    (At::Content, "the message", true),
];

/// A server that wants a password, and how to reach it.
fn with_password() -> (SmtpServer, String) {
    let login = Some(("marked-user", "marked-password"));
    let server = SmtpServer::offering(Offer {
        login,
        ..Offer::default()
    });
    let url = format!(
        "smtp://marked-user:marked-password@127.0.0.1:{}",
        server.port
    );
    (server, url)
}

#[tokio::test]
async fn a_refusal_is_final_only_where_it_concerns_the_message() {
    for (at, stage, concerns_the_message) in STAGES {
        for (reply, code, is_final) in [
            (
                "450 4.2.1 <marked-recipient@example.org> later",
                "450 4.2.1",
                false,
            ),
            ("421 marked-recipient is not served", "421", false),
            (
                "550 5.1.1 <marked-recipient@example.org>: no such user",
                "550 5.1.1",
                true,
            ),
            ("554-marked-recipient\r\n554 more", "554", true),
            ("535 5.7.8 marked-user", "535 5.7.8", false),
            ("530 5.7.0 authenticate", "530 5.7.0", false),
        ] {
            let (server, url) = with_password();
            server.fail(at, Fault::Reply(reply));
            let (mail, registry) = mail(&[("MAIL_URL", &url)]);

            let error = mail.send(message(TO)).await.unwrap_err();

            let shown = format!("the SMTP server refused {stage}: {code}");
            assert_eq!(error.to_string(), shown);
            assert_eq!(
                error.is_permanent(),
                is_final && concerns_the_message,
                "{shown}"
            );
            assert!(error.reply().unwrap().contains(&reply[4..10]));
            let outcome = if error.is_permanent() {
                "refused"
            } else {
                "failed"
            };
            assert_eq!(count(&registry, outcome), 1);
            assert!(!format!("{error:?}").contains("marked"));
            let kept = format!("{:?}", error.into_job_error());
            assert!(!kept.contains("marked"), "{kept}");
            assert!(server.messages().is_empty());
        }
    }
}

#[tokio::test]
async fn a_server_that_stalls_or_breaks_off_is_tried_again() {
    for (at, stage, _) in STAGES {
        for (fault, expected) in [
            (
                Fault::Stall,
                format!("the SMTP server did not answer in time about {stage}"),
            ),
            (
                Fault::Drop,
                format!("the SMTP server broke off, or does not speak SMTP, at {stage}"),
            ),
            (
                Fault::Reply("marked-recipient is no answer"),
                format!("the SMTP server broke off, or does not speak SMTP, at {stage}"),
            ),
        ] {
            let (server, url) = with_password();
            server.fail(at, fault);
            let (mail, registry) = mail(&[("MAIL_URL", &url), ("MAIL_TIMEOUT_MS", "1000")]);

            let error = mail.send(message(TO)).await.unwrap_err();

            assert_eq!(error.to_string(), expected, "{at:?} {fault:?}");
            assert!(!error.is_permanent());
            assert_eq!(count(&registry, "failed"), 1);
            assert!(!format!("{error:?}").contains("marked"));
            // The next attempt works, as soon as the server does.
            server.recover();
            mail.send(message(TO)).await.unwrap();
            assert_eq!(count(&registry, "sent"), 1);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_is_a_message_sent_twice_under_one_id() {
    let server = SmtpServer::start();
    let (mail, _) = mail(&[("MAIL_URL", &server.url())]);
    let id = uuid::Uuid::now_v7();
    let again = || Message { id, ..message(TO) };

    server.fail(At::Content, Fault::Drop);
    mail.send(again()).await.unwrap_err();
    server.recover();
    mail.send(again()).await.unwrap();

    let ids = server
        .messages()
        .into_iter()
        .map(|message| message.header("Message-ID"));
    let expected = Some(format!("<{id}@acme.example>"));
    assert_eq!(ids.collect::<Vec<_>>(), [expected.clone(), expected]);
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("smtp://127.0.0.1:{port}");
    let (away, _) = mail(&[("MAIL_URL", &url)]);
    let (unknown, _) = mail(&[("MAIL_URL", "smtps://mail.invalid")]);

    for mail in [away, unknown] {
        let error = mail.send(message(TO)).await.unwrap_err();

        assert_eq!(error.to_string(), "the SMTP server cannot be reached");
        assert!(!error.is_permanent());
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[test]
fn a_wrong_password_is_told_without_being_shown() {
    let (_server, url) = with_password();
    let url = url.replace("marked-password", "marked-mistake");

    let said = complaint(&send_test(&[("MAIL_URL", &url)]));

    // The words are the server's, which names the user by its own choice.
    assert_eq!(
        said.lines().last().unwrap(),
        "error: the SMTP server refused user and password: 535 5.7.8; the server said: \
         535 5.7.8 marked-user: wrong password"
    );
    assert!(!said.contains("marked-mistake"), "{said}");
}

#[test]
fn the_log_of_a_refusal_names_nobody() {
    let server = SmtpServer::start();
    server.fail(
        At::Rcpt,
        Fault::Reply("550 5.1.1 <marked-recipient@example.org> unknown"),
    );

    let output = send_test(&[("MAIL_URL", &server.url())]);

    let errors = complaint(&output);
    let (log, answer) = errors.split_once("error: ").unwrap();
    let line: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(line["message"], "mail_failed");
    assert_eq!(line["template"], "mail_test");
    assert_eq!(line["outcome"], "refused");
    assert_eq!(
        line["error"],
        "the SMTP server refused the recipient: 550 5.1.1"
    );
    assert!(!log.contains("marked"), "{log}");
    assert!(answer.contains("the server said: 550 5.1.1 <marked-recipient@example.org> unknown"));
}

#[test]
fn a_span_says_where_a_message_went_and_not_to_whom() {
    let (server, collector) = (SmtpServer::start(), Collector::start());
    let (url, endpoint) = (server.url(), collector.endpoint());
    let settings = [
        ("MAIL_URL", url.as_str()),
        ("OTLP_ENDPOINT", endpoint.as_str()),
    ];

    printed(&send_test(&settings));
    server.fail(
        At::Content,
        Fault::Reply("552 5.3.4 marked-recipient: too big"),
    );
    complaint(&send_test(&settings));

    let mut spans = collector.spans();
    assert!(!format!("{spans:?}").contains("marked"), "{spans:?}");
    spans.retain(|span| span.name == "mail_send");
    let [sent, refused] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(sent.kind(), SpanKind::Client);
    assert!(!sent.parent_span_id.is_empty());
    let said = |span: &Span, name| attribute(&span.attributes, name);
    for (name, expected) in [
        ("server.address", "127.0.0.1"),
        ("server.port", &server.port.to_string()),
        ("network.protocol.name", "smtp"),
        ("mail.template", "mail_test"),
    ] {
        assert_eq!(said(sent, name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(said(sent, "error.type"), None);
    assert_eq!(said(refused, "error.type").as_deref(), Some("refused"));
    assert_eq!(refused.status.as_ref().unwrap().code(), StatusCode::Error);
}

#[test]
fn no_field_adds_a_line_to_the_conversation_or_a_header() {
    let server = SmtpServer::start();
    let url = server.url();
    let settings = [FROM, ("MAIL_URL", url.as_str())];
    for to in [
        "a@example.org\r\nRCPT TO:<eve@example.org>",
        "a@example.org>\r\nRCPT TO:<eve@example.org",
        "a@example.org\nBcc: eve@example.org",
        "\"a\r\nBcc: eve@example.org\r\n\"@example.org",
    ] {
        let arguments = ["mail", "test", "--to", to];
        let said = complaint(&super::run(super::URL, &settings, &arguments, ""));

        let last = said.lines().last().unwrap();
        assert_eq!(last, "error: the address of the recipient cannot be used");
    }
    for from in [
        "A\r\nBcc: eve@example.org <a@example.org>",
        "a@example.org\r\nBcc: eve@example.org",
    ] {
        let said = complaint(&send_test(&[("MAIL_URL", &url), ("MAIL_FROM", from)]));

        assert!(
            said.starts_with("error: MAIL_FROM (from the environment): expected "),
            "{said}"
        );
    }
    assert_eq!(server.connections(), 0);
}

/// How many attempts ended so.
fn count(registry: &prometheus::Registry, outcome: &str) -> u64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == "mail_total");
    let metrics = family.unwrap().get_metric().iter();
    let found = metrics.filter(|metric| {
        metric
            .get_label()
            .iter()
            .any(|label| label.value() == outcome)
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of a few"
    )]
    found
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum()
}
