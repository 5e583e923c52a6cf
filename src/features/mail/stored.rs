//! Reads a message back that was written into a folder: enough to list it, for messages that this program wrote.

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use quoted_printable::ParseMode;

/// A message in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// When it was written, as its header says.
    pub date: String,
    /// The recipient.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The links in its text, in their order.
    pub links: Vec<String>,
    /// The file.
    pub path: PathBuf,
}

impl StoredMessage {
    /// Reads what it can. What is missing is empty.
    pub(super) fn parse(bytes: &[u8], path: PathBuf) -> Self {
        let message = String::from_utf8_lossy(bytes);
        let (head, _) = message.split_once("\r\n\r\n").unwrap_or((&message, ""));
        Self {
            date: header(head, "Date").unwrap_or_default(),
            to: header(head, "To").unwrap_or_default(),
            subject: decoded_words(&header(head, "Subject").unwrap_or_default()),
            links: links(&plain_text(&message).unwrap_or_default()),
            path,
        }
    }
}

/// The value of a header, its lines joined (RFC 5322, section 2.2.3).
fn header(head: &str, name: &str) -> Option<String> {
    let head = head.replace("\r\n ", " ");
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

/// The text without encoded words (RFC 2047) in base64, which is how lettre writes them. White space between two is theirs.
fn decoded_words(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut was_encoded = false;
    for word in text.split(' ') {
        let inner = word
            .strip_prefix("=?utf-8?b?")
            .and_then(|word| word.strip_suffix("?="));
        let decoded = inner.and_then(|inner| STANDARD.decode(inner).ok());
        let is_encoded = decoded.is_some();
        let continues = bytes.is_empty() || was_encoded && is_encoded;
        if !continues {
            bytes.push(b' ');
        }
        bytes.extend(decoded.unwrap_or_else(|| word.as_bytes().to_vec()));
        was_encoded = is_encoded;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The part that is plain text, decoded.
fn plain_text(message: &str) -> Option<String> {
    let (_, part) = message.split_once("Content-Type: text/plain")?;
    let (head, body) = part.split_once("\r\n\r\n")?;
    let body = body.split("\r\n--").next()?;
    let bytes = match header(head, "Content-Transfer-Encoding").as_deref() {
        Some("quoted-printable") => quoted_printable::decode(body, ParseMode::Robust).ok()?,
        Some("base64") => STANDARD.decode(body.replace("\r\n", "")).ok()?,
        _ => body.as_bytes().to_vec(),
    };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn links(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || "<>\"".contains(c));
    let is_link = |word: &&str| word.starts_with("https://") || word.starts_with("http://");
    words.filter(is_link).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::features::mail::{Rendered, message};

    #[test]
    fn what_was_written_is_read_back() {
        let link = format!("https://example.com/reset#token={}", "a=b_c-".repeat(40));
        for (subject, text) in [
            ("Hello".to_owned(), format!("Open {link} now.\n")),
            (
                "Gr\u{fc}\u{df}e aus dem S\u{fc}den "
                    .repeat(9)
                    .trim()
                    .to_owned(),
                format!("\u{d6}ffnen:\n\n  <{link}>\n"),
            ),
            (
                "\u{65e5}\u{672c}\u{8a9e}".repeat(30),
                format!("{} {link}\n", "\u{65e5}".repeat(500)),
            ),
            (
                "x \u{fc} x \u{fc} \u{fc} x".to_owned(),
                format!("{}\n{link}", "x".repeat(2000)),
            ),
        ] {
            let words = Rendered {
                subject: subject.clone(),
                text,
                html: "<p>https://example.com/html</p>".to_owned(),
            };
            let from = "Acme <no-reply@example.com>".parse().unwrap();
            let (id, now) = (Uuid::nil(), OffsetDateTime::UNIX_EPOCH);
            let message = message::build(&from, "ada@example.org", id, now, words).unwrap();

            let read = StoredMessage::parse(&message.bytes, PathBuf::from("x.eml"));

            assert_eq!(read.subject, subject);
            assert_eq!(read.to, "ada@example.org");
            assert_eq!(read.date, "Thu, 01 Jan 1970 00:00:00 +0000");
            assert_eq!(read.links, [link.as_str()]);
        }
    }

    #[test]
    fn a_file_of_another_kind_is_no_panic() {
        for bytes in [
            &b""[..],
            b"\r\n\r\n",
            b"Subject",
            b"\xff: \r\n --",
            b"Content-Type: text/plain\r\n\r\n",
        ] {
            let read = StoredMessage::parse(bytes, PathBuf::new());

            assert!(read.links.is_empty());
        }
    }
}
