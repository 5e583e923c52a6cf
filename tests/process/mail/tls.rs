//! How the connection is protected, and what is not sent without protection.

use super::{
    send_test,
    server::{At, Authority, Fault, Offer, SmtpServer},
};
use crate::support::{complaint, printed};

/// This machine by an address that is no loopback address.
fn elsewhere(server: &SmtpServer) -> String {
    format!("smtp://marked-user:marked-password@0.0.0.0:{}", server.port)
}

const LOGIN: Option<(&str, &str)> = Some(("marked-user", "marked-password"));

#[test]
fn starttls_comes_before_the_password_and_the_certificate_is_checked() {
    let authority = Authority::new();
    let starttls = Some(authority.config.clone());
    let server = SmtpServer::offering(Offer {
        starttls,
        login: LOGIN,
        ..Offer::default()
    });
    let url = elsewhere(&server);
    let trusted = authority.file();

    let stranger = Authority::new().file();
    let settings = [
        ("MAIL_URL", url.as_str()),
        ("SSL_CERT_FILE", stranger.as_str()),
    ];
    let refused = complaint(&send_test(&settings));
    let before = server.lines();
    let settings = [
        ("MAIL_URL", url.as_str()),
        ("SSL_CERT_FILE", trusted.as_str()),
    ];
    printed(&send_test(&settings));

    assert!(
        refused.contains("error: TLS with the SMTP server failed: invalid peer certificate"),
        "{refused}"
    );
    assert_eq!(before, ["EHLO acme.example", "STARTTLS"]);
    let [message] = &server.messages()[..] else {
        panic!("{:?}", server.messages());
    };
    assert!(message.is_encrypted);
    let lines = server.lines();
    let after: Vec<_> = lines[4..].iter().map(|line| &line[..4]).collect();
    assert_eq!(after[..2], ["EHLO", "AUTH"], "{lines:?}");
}

#[test]
fn a_server_elsewhere_that_offers_no_starttls_gets_neither_password_nor_mail() {
    for refusal in [None, Some(Fault::Reply("454 4.7.0 TLS not available"))] {
        let authority = Authority::new();
        let starttls = refusal.map(|_| authority.config.clone());
        let server = SmtpServer::offering(Offer {
            starttls,
            login: LOGIN,
            ..Offer::default()
        });
        if let Some(refusal) = refusal {
            server.fail(At::StartTls, refusal);
        }

        let said = complaint(&send_test(&[("MAIL_URL", &elsewhere(&server))]));

        let expected = if refusal.is_some() {
            "the SMTP server refused the connection: 454 4.7.0"
        } else {
            "the SMTP server does not offer STARTTLS, which is required of all but loopback hosts"
        };
        assert!(said.contains(expected), "{said}");
        let lines = server.lines();
        let other = lines
            .iter()
            .find(|line| !["EHLO acme.example", "STARTTLS", "QUIT"].contains(&line.as_str()));
        assert_eq!(other, None);
    }
}

#[test]
fn with_smtps_nothing_is_said_in_the_clear() {
    let authority = Authority::new();
    let tls = Some(authority.config.clone());
    let server = SmtpServer::offering(Offer {
        tls,
        login: LOGIN,
        ..Offer::default()
    });
    let trusted = authority.file();
    let url = format!(
        "smtps://marked-user:marked-password@localhost:{}",
        server.port
    );
    let settings = [
        ("MAIL_URL", url.as_str()),
        ("SSL_CERT_FILE", trusted.as_str()),
    ];

    printed(&send_test(&settings));
    let other_name = url.replace("localhost", "127.0.0.2");
    let settings = [("MAIL_URL", other_name.as_str()), settings[1]];
    let refused = complaint(&send_test(&settings));

    assert!(server.messages()[0].is_encrypted);
    assert!(
        refused.contains("TLS with the SMTP server failed")
            || refused.contains("cannot be reached"),
        "{refused}"
    );
    assert_eq!(server.messages().len(), 1);
}

/// What an attacker in between writes behind the answer to STARTTLS, before TLS begins, would be read as the server's answers
/// to what the client says after it (as in CVE-2011-0411, the other way round).
#[test]
fn answers_in_the_clear_behind_starttls_are_not_taken_for_the_servers() {
    let authority = Authority::new();
    let starttls = Some(authority.config.clone());
    let server = SmtpServer::offering(Offer {
        starttls,
        ..Offer::default()
    });
    let injected = "220 go ahead\r\n250 injected\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 taken";
    server.fail(At::StartTls, Fault::Inject(injected));
    let trusted = authority.file();
    let url = format!("smtp://0.0.0.0:{}", server.port);
    let settings = [
        ("MAIL_URL", url.as_str()),
        ("SSL_CERT_FILE", trusted.as_str()),
    ];

    let said = complaint(&send_test(&settings));

    assert!(said.contains("TLS with the SMTP server failed"), "{said}");
    assert!(server.messages().is_empty());
    // The test's own server is as trusted as before.
    server.recover();
    printed(&send_test(&settings));
}
