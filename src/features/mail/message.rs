//! A message as the network carries it (RFC 5322).

use std::time::SystemTime;

use lettre::{
    Address,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Rendered, SendError};

/// A message that is ready to be handed over.
#[derive(Clone)]
pub(super) struct Envelope {
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) bytes: Vec<u8>,
}

/// An address to send to: printable ASCII, as those of accounts are, so that it needs no extension of SMTP and cannot
/// end a line of it.
pub(super) fn address(text: &str) -> Option<Address> {
    let is_plain = text.len() <= 254 && text.bytes().all(|byte| byte.is_ascii_graphic());
    text.parse().ok().filter(|_| is_plain)
}

/// Builds the message: text and HTML as alternatives, in UTF-8 that any server takes.
pub(super) fn build(
    from: &Mailbox,
    to: &str,
    id: Uuid,
    now: OffsetDateTime,
    words: Rendered,
) -> Result<Envelope, SendError> {
    let to = address(to).ok_or_else(SendError::address)?;
    let message = lettre::Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(words.subject)
        .date(SystemTime::from(now))
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .header(AutoSubmitted)
        .multipart(MultiPart::alternative_plain_html(words.text, words.html))
        .map_err(|_| SendError::message())?;
    Ok(Envelope {
        from: from.email.clone(),
        to,
        bytes: message.formatted(),
    })
}

/// `Auto-Submitted: auto-generated`: no person wrote this, so no program answers it (RFC 3834, section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-01-02 03:04:05 UTC);

    fn message(from: &str, to: &str, words: [&str; 3]) -> Result<String, SendError> {
        let [subject, text, html] = words.map(str::to_owned);
        let words = Rendered {
            subject,
            text,
            html,
        };
        let id = Uuid::from_u128(1);
        let envelope = build(&from.parse().unwrap(), to, id, NOW, words)?;
        Ok(String::from_utf8(envelope.bytes).unwrap())
    }

    /// The lines before the first empty one, unfolded.
    fn head(message: &str) -> Vec<String> {
        let head = message
            .split("\r\n\r\n")
            .next()
            .unwrap()
            .replace("\r\n ", " ");
        head.lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_message_says_what_programs_want_to_know() {
        let from = "Acme <no-reply@example.com>";
        let message = message(from, "ada@example.org", ["Hello", "a", "<b>a</b>"]).unwrap();

        let head = head(&message);

        assert_eq!(
            head[..6],
            [
                "From: Acme <no-reply@example.com>",
                "To: ada@example.org",
                "Subject: Hello",
                "Date: Fri, 02 Jan 2026 03:04:05 +0000",
                "Message-ID: <00000000-0000-0000-0000-000000000001@example.com>",
                "Auto-Submitted: auto-generated",
            ]
        );
        assert!(head.iter().any(|line| line == "MIME-Version: 1.0"));
        assert!(
            head.last()
                .unwrap()
                .starts_with("Content-Type: multipart/alternative;")
        );
        let plain = message
            .find("Content-Type: text/plain; charset=utf-8")
            .unwrap();
        let html = message
            .find("Content-Type: text/html; charset=utf-8")
            .unwrap();
        assert!(
            plain < html,
            "what is preferred comes last (RFC 2046, 5.1.4)"
        );
    }

    #[test]
    fn any_server_takes_it() {
        let long = "\u{fc}".repeat(3000);
        let from = "Sch\u{f6}n <no-reply@example.com>";
        let message = message(from, "ada@example.org", [&long, &long, &long]).unwrap();

        assert!(message.is_ascii());
        assert!(
            message
                .split("\r\n")
                .all(|line| line.len() <= 998 && !line.contains('\n'))
        );
    }

    #[test]
    fn a_subject_adds_no_header() {
        let ends = [
            "\r\nBcc: eve@example.com",
            "\nBcc: eve@example.com",
            "\rBcc: eve@example.com",
            "\0",
        ];
        for end in ends {
            let subject = format!("Hello{end}");
            let message = message("a@example.com", "b@example.com", [&subject, "x", "x"]).unwrap();

            assert!(
                !head(&message).iter().any(|line| line.starts_with("Bcc")),
                "{message}"
            );
        }
    }

    #[test]
    fn an_address_that_could_end_a_line_is_refused() {
        for to in [
            "",
            "ada",
            "ada@",
            "ada@example.org\r\nRCPT TO:<eve@example.com>",
            "ada@example.org>\r\nDATA",
            "ada@example.org\n",
            " ada@example.org",
            "\"ada\r\nx\"@example.org",
            "ada\0@example.org",
            "ada@example.org, eve@example.org",
            "Ada <ada@example.org>",
            "\u{e4}da@example.org",
            "ada@ex\u{e4}mple.org",
        ] {
            let error = message("a@example.com", to, ["x", "x", "x"]).unwrap_err();

            assert!(error.is_permanent(), "{to:?}");
            assert_eq!(
                error.to_string(),
                "the address of the recipient cannot be used"
            );
        }
    }
}
