//! Accounts that are recovered by mail, on the built program: several replicas, a real SMTP conversation.

mod delivery;
mod flows;
mod starting;

use std::{cell::Cell, io::Write};

use serde_json::Value;

use crate::{
    mail::server::{Message, SmtpServer},
    support::{Reply, Service, connect, eventually, rest_of},
};

const FROM: (&str, &str) = ("MAIL_FROM", "Acme <no-reply@acme.example>");

/// Where links are to lead.
const ORIGIN: &str = "https://acme.example";

/// What requests say where the service is.
const EVIL: &str = "evil.example";

/// What arrives at an SMTP server, message after message.
struct Mailbox {
    server: SmtpServer,
    seen: Cell<usize>,
}

/// A message in words.
struct Mail(String);

impl Mailbox {
    fn start() -> Self {
        Self {
            server: SmtpServer::start(),
            seen: Cell::new(0),
        }
    }

    /// The first message to this address, of those that came after the last one, whose subject says this.
    #[track_caller]
    fn receive(&self, to: &str, subject: &str) -> Mail {
        let is_it = |message: &Message| {
            let header = |name| message.header(name).unwrap();
            header("To") == to && header("Subject").contains(subject)
        };
        let (index, message) = eventually(subject, || {
            let messages = self.server.messages().into_iter().enumerate();
            messages
                .skip(self.seen.get())
                .find(|(_, message)| is_it(message))
        });
        self.seen.set(index + 1);
        Mail(message.content.replace("=\r\n", "").replace("=3D", "="))
    }
}

impl Mail {
    /// The token of its links, which all lead to this page of the service.
    #[track_caller]
    fn token(&self, page: &str) -> String {
        let start = format!("{ORIGIN}{page}#token=");
        let links = self.0.replace("&#x2f;", "/");
        let tokens = links.split(&start).skip(1).map(|rest| {
            let is_part = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
            rest.chars().take_while(is_part).collect::<String>()
        });
        let tokens: Vec<_> = tokens.collect();
        assert!(tokens.len() >= 2, "a link in text and in HTML: {}", self.0);
        assert_eq!(links.matches("#token=").count(), tokens.len());
        assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
        tokens[0].clone()
    }
}

/// Posts JSON with headers that all say the service is somewhere else.
fn ask_as_evil(service: &Service, path: &str, body: &Value) -> Reply {
    let mut stream = connect(service.port());
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {EVIL}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         X-Forwarded-Host: {EVIL}\r\nX-Forwarded-Proto: http\r\nForwarded: host={EVIL};proto=http\r\n\
         X-Original-Host: {EVIL}\r\nOrigin: http://{EVIL}\r\nReferer: http://{EVIL}/\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    Reply::parse(&rest_of(stream)).unwrap()
}
