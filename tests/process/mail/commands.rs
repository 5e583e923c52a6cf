//! `mail list`, `mail preview`, `doctor`, and mail that is off.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{
    FROM, TO, URL, send_test,
    server::{At, Authority, Fault, Offer, SmtpServer},
};
use crate::support::{Folder, complaint, printed, run};

#[test]
fn without_a_server_a_message_is_a_file_that_list_finds() {
    let folder = Folder::new();
    let mailbox = folder.join("mail");
    let settings = [("MAIL_FOLDER", mailbox.to_str().unwrap())];

    let none = printed(&run(URL, &settings, &["mail", "list"], ""));
    let said = printed(&send_test(&settings));
    let listed = printed(&run(URL, &settings, &["mail", "list"], ""));

    assert_eq!(
        none,
        format!("there are no messages in {}\n", mailbox.display())
    );
    let path = said
        .strip_prefix("MAIL_URL is unset, so the message is a file: ")
        .unwrap()
        .trim();
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path), mode(settings[0].1)), (0o600, 0o700));
    let message = fs::read_to_string(path).unwrap();
    assert!(message.contains("Auto-Submitted: auto-generated\r\n"));
    let lines: Vec<_> = listed.lines().collect();
    assert!(
        lines[0].ends_with(&format!("  {TO}  Test of the mail of warp-skeleton")),
        "{listed}"
    );
    assert_eq!(lines[1], format!("    {path}"));
}

#[test]
fn in_production_without_a_server_mail_is_off_and_says_so() {
    let strong = [("SCRYPT_LOG_N", "14"), ("SCRYPT_P", "5")];
    let production = [&[("APP_ENV", "production")], &strong[..]].concat();

    let test = complaint(&send_test(&production));
    let list = complaint(&run(URL, &production, &["mail", "list"], ""));
    let doctor = run(URL, &production, &["doctor"], "");

    assert!(
        test.ends_with("error: mail is off: MAIL_URL is unset\n"),
        "{test}"
    );
    assert!(
        list.contains("only while MAIL_URL is unset, and not in production"),
        "{list}"
    );
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(
        doctor.contains("note mail: off (MAIL_URL is unset)\n"),
        "{doctor}"
    );
}

#[test]
fn preview_shows_every_template() {
    let folder = Folder::new();
    let to = folder.join("preview");
    let name = [("MAIL_PRODUCT_NAME", "Caf\u{e9} & Co")];

    let said = printed(&run(
        URL,
        &name,
        &["mail", "preview", to.to_str().unwrap()],
        "",
    ));

    let index = to.join("index.html");
    assert_eq!(said, format!("open {}\n", index.display()));
    let index = fs::read_to_string(index).unwrap();
    let mut count = 0;
    for entry in fs::read_dir(&to).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = file.strip_suffix(".subject.txt") {
            count += 1;
            assert!(index.contains(&format!("<iframe src=\"{name}.html\"")));
            let html = fs::read_to_string(to.join(format!("{name}.html"))).unwrap();
            let text = fs::read_to_string(to.join(format!("{name}.txt"))).unwrap();
            assert!(html.contains("Caf\u{e9} &amp; Co"), "{html}");
            assert!(text.contains("Caf\u{e9} & Co"), "{text}");
        }
    }
    assert!(count >= 1);
}

/// What `doctor` says about mail.
fn diagnosis(settings: &[(&str, &str)]) -> String {
    let output = run(URL, &[&[FROM], settings].concat(), &["doctor"], "");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!text.contains("marked"), "{text}");
    let line = text.lines().find(|line| line.contains(" mail: "));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn doctor_asks_the_server_and_sends_nothing() {
    let login = Some(("marked-user", "marked-password"));
    let server = SmtpServer::offering(Offer {
        login,
        ..Offer::default()
    });
    let doctor = |password: &str| {
        let url = format!("smtp://marked-user:{password}@127.0.0.1:{}", server.port);
        diagnosis(&[("MAIL_URL", &url)])
    };
    let address = format!("127.0.0.1:{}", server.port);

    let fine = doctor("marked-password");
    let wrong = doctor("marked-mistake");
    server.fail(At::Connect, Fault::Reply("554 5.3.2 no marked-service"));
    let refused = doctor("marked-password");

    assert_eq!(
        fine,
        format!("ok   mail: {address} takes mail from this service")
    );
    let wait = "until it works, messages wait as long as their jobs are tried";
    assert_eq!(
        wrong,
        format!(
            "note mail: {address}: the SMTP server refused user and password: 535 5.7.8; {wait}"
        )
    );
    assert_eq!(
        refused,
        format!("note mail: {address}: the SMTP server refused the connection: 554 5.3.2; {wait}")
    );
    assert!(!server.lines().iter().any(|line| line.starts_with("MAIL")));
}

#[test]
fn doctor_checks_tls_and_waits_no_longer_than_a_message_may_take() {
    let authority = Authority::new();
    let (trusted, stranger) = (authority.file(), Authority::new().file());
    let login = Some(("marked-user", "marked-password"));
    let offering = |starttls| {
        SmtpServer::offering(Offer {
            starttls,
            login,
            ..Offer::default()
        })
    };
    let (encrypted, plain) = (offering(Some(authority.config.clone())), offering(None));
    let ask = |server: &SmtpServer, certificates: &str| {
        let port = server.port;
        // This machine by an address that is no loopback address.
        let url = format!("smtp://marked-user:marked-password@0.0.0.0:{port}");
        let settings = [
            ("MAIL_URL", url.as_str()),
            ("SSL_CERT_FILE", certificates),
            ("MAIL_TIMEOUT_MS", "1000"),
        ];
        diagnosis(&settings).replace(&format!("0.0.0.0:{port}"), "the server")
    };

    let fine = ask(&encrypted, &trusted);
    let untrusted = ask(&encrypted, &stranger);
    let without = ask(&encrypted, "/nowhere");
    let unprotected = ask(&plain, &trusted);
    encrypted.fail(At::Ehlo, Fault::Stall);
    let slow = ask(&encrypted, &trusted);

    let wait = "until it works, messages wait as long as their jobs are tried";
    assert_eq!(fine, "ok   mail: the server takes mail from this service");
    for distrusted in [untrusted, without] {
        let expected =
            "note mail: the server: TLS with the SMTP server failed: invalid peer certificate";
        assert!(distrusted.starts_with(expected), "{distrusted}");
    }
    assert_eq!(
        unprotected,
        format!(
            "note mail: the server: the SMTP server does not offer STARTTLS, which is required of all but loopback hosts; {wait}"
        )
    );
    assert_eq!(
        slow,
        format!(
            "note mail: the server: the SMTP server did not answer in time about the connection; {wait}"
        )
    );
    for server in [&encrypted, &plain] {
        let lines = server.lines();
        assert!(
            !lines.iter().any(|line| line.starts_with("MAIL")),
            "{lines:?}"
        );
    }
}
