//! Every template in a real Mailpit: the one on `PATH`. Held against 1.33.1.

use std::{
    io::Write,
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use warp_skeleton::{
    app::templates,
    features::mail::{MAIL_TEST, Message},
    shared::clock::Clock,
};

use super::{FROM, URL, mail, message};
use crate::support::{Folder, connect, eventually, printed, rest_of, run};

/// A Mailpit of the test's own.
struct Mailpit {
    child: Child,
    _folder: Folder,
    smtp: u16,
    api: u16,
}

impl Mailpit {
    /// `None` when there is none on `PATH`.
    fn start() -> Option<Self> {
        if Command::new("mailpit").arg("version").output().is_err() {
            println!("SKIPPED: there is no mailpit on PATH");
            return None;
        }
        let folder = Folder::new();
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [smtp, api] = listeners.map(|listener| listener.local_addr().unwrap().port());
        let child = Command::new("mailpit")
            .arg("--smtp")
            .arg(format!("127.0.0.1:{smtp}"))
            .arg("--listen")
            .arg(format!("127.0.0.1:{api}"))
            .arg("--database")
            .arg(folder.join("mailpit.db"))
            .args(["--disable-version-check", "--quiet"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mailpit = Self {
            child,
            _folder: folder,
            smtp,
            api,
        };
        eventually("mailpit", || mailpit.try_get("/livez"));
        eventually("its SMTP", || {
            std::net::TcpStream::connect(("127.0.0.1", smtp)).ok()
        });
        Some(mailpit)
    }

    fn try_get(&self, path: &str) -> Option<String> {
        std::net::TcpStream::connect(("127.0.0.1", self.api)).ok()?;
        let mut stream = connect(self.api);
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let reply = rest_of(stream);
        let (head, body) = reply.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.to_owned())
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.try_get(path).unwrap()).unwrap()
    }

    fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.smtp)
    }
}

impl Drop for Mailpit {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_template_arrives_as_it_was_meant() {
    let Some(mailpit) = Mailpit::start() else {
        return;
    };
    let (mail, _) = mail(&[
        ("MAIL_URL", &mailpit.url()),
        ("MAIL_PRODUCT_NAME", "Caf\u{e9} & Co"),
    ]);
    let mut seen = Vec::new();
    for &template in mail.templates() {
        let context = (template.sample)();
        let expected = mail.render(template, context.clone()).unwrap();
        let sent = Message {
            template,
            context,
            ..message("ada@example.org")
        };
        let id = sent.id;

        mail.send(sent).await.unwrap();

        let query = format!("/api/v1/search?query=message-id:{id}@acme.example");
        let found = eventually(template.name, || {
            let found = mailpit.json(&query);
            found["messages"][0]["ID"].as_str().map(ToOwned::to_owned)
        });
        let arrived = mailpit.json(&format!("/api/v1/message/{found}"));
        assert_eq!(arrived["MessageID"], format!("{id}@acme.example"));
        assert_eq!(arrived["From"]["Address"], "no-reply@acme.example");
        assert_eq!(arrived["From"]["Name"], "Acme");
        assert_eq!(arrived["To"][0]["Address"], "ada@example.org");
        assert_eq!(arrived["Subject"], expected.subject);
        let lines = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
        assert_eq!(
            lines(arrived["Text"].as_str().unwrap()),
            lines(&expected.text)
        );
        assert_eq!(
            lines(arrived["HTML"].as_str().unwrap()),
            lines(&expected.html)
        );
        assert_eq!(arrived["Attachments"].as_array().map_or(0, Vec::len), 0);
        assert_eq!(arrived["Inline"].as_array().map_or(0, Vec::len), 0);
        let targets = links(&expected.text);
        for part in ["Text", "HTML"] {
            // In HTML a slash may be written as a reference to a character.
            let part = arrived[part].as_str().unwrap().replace("&#x2f;", "/");
            for link in &targets {
                assert!(part.contains(link), "{}: {link}", template.name);
            }
        }
        let sent_at = arrived["Date"].as_str().unwrap();
        let sent_at = OffsetDateTime::parse(sent_at, &Rfc3339).unwrap();
        assert!((Clock::system().now() - sent_at).abs() < time::Duration::minutes(5));
        let headers = mailpit.json(&format!("/api/v1/message/{found}/headers"));
        assert_eq!(headers["Message-Id"][0], format!("<{id}@acme.example>"));
        assert_eq!(headers["Auto-Submitted"][0], "auto-generated");
        assert!(
            headers["Content-Type"][0]
                .as_str()
                .unwrap()
                .starts_with("multipart/alternative")
        );
        // The share of what is in the HTML that mail programs, of those that Mailpit knows, do not show at all.
        let check = mailpit.json(&format!("/api/v1/message/{found}/html-check"));
        let total = &check["Total"];
        let shown = total["Supported"].as_f64().unwrap();
        let dropped = total["Unsupported"].as_f64().unwrap();
        println!(
            "{}: {} links, HTML {shown:.1} % shown, {dropped:.1} % not",
            template.name,
            targets.len()
        );
        assert!(dropped < 5.0, "{}: {total}", template.name);
        seen.push(template.name);
    }
    let expected: Vec<_> = templates().iter().map(|template| template.name).collect();
    assert_eq!(seen, expected);
    assert_eq!(mailpit.json("/api/v1/messages")["total"], seen.len());
}

/// What a person can follow.
fn links(text: &str) -> Vec<&str> {
    let words = text.split_whitespace();
    words.filter(|word| word.starts_with("http")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_sends_to_it() {
    let Some(mailpit) = Mailpit::start() else {
        return;
    };
    let url = mailpit.url();
    let settings = [FROM, ("MAIL_URL", url.as_str())];

    let said = printed(&run(
        URL,
        &settings,
        &["mail", "test", "--to", "ada@example.org"],
        "",
    ));

    assert!(said.contains(" took the message: 250 "), "{said}");
    let messages = mailpit.json("/api/v1/messages");
    assert_eq!(messages["total"], 1);
    let subject = messages["messages"][0]["Subject"].as_str().unwrap();
    assert!(
        subject.starts_with("Test of the mail of "),
        "{}",
        MAIL_TEST.subject
    );
}
