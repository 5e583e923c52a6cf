//! Why a message was not sent.

use std::{error::Error, fmt, io};

use lettre::transport::smtp;

use crate::features::jobs::JobError;

/// Why a message was not sent. It says neither to whom nor what the server's words were, so it may be logged and kept.
pub struct SendError {
    kind: Kind,
    /// What the server said. It can name the recipient.
    reply: Option<String>,
}

/// Where in the conversation with the server it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Connecting, TLS, the greeting and EHLO.
    Connect,
    /// AUTH.
    Authenticate,
    /// MAIL FROM.
    Sender,
    /// RCPT TO.
    Recipient,
    /// DATA.
    Data,
    /// The message itself: whether the server took it is not known when its answer is lost.
    Content,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "the connection",
            Self::Authenticate => "user and password",
            Self::Sender => "the sender, MAIL_FROM",
            Self::Recipient => "the recipient",
            Self::Data => "the beginning of the message",
            Self::Content => "the message",
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("mail is off: MAIL_URL is unset")]
    Off,
    #[error("the address of the recipient cannot be used")]
    Address,
    #[error("the template {name} cannot be rendered")]
    Template {
        name: &'static str,
        source: minijinja::Error,
    },
    #[error("the message cannot be built")]
    Message,
    #[error("the SMTP server refused {stage}: {code}")]
    Refused {
        stage: Stage,
        /// Three digits, and the enhanced status code of RFC 3463 when there is one.
        code: String,
        is_permanent: bool,
    },
    #[error("the SMTP server did not answer in time about {0}")]
    TimedOut(Stage),
    #[error("the SMTP server broke off, or does not speak SMTP, at {0}")]
    BrokeOff(Stage),
    #[error("the SMTP server does not offer STARTTLS, which is required of all but loopback hosts")]
    NoTls,
    #[error("the SMTP server offers neither PLAIN nor LOGIN to authenticate")]
    NoMechanism,
    #[error("TLS with the SMTP server failed")]
    Tls(#[source] Option<io::Error>),
    #[error("the SMTP server cannot be reached")]
    Unreachable(#[source] Option<io::Error>),
    #[error("the folder of mail cannot be written")]
    Folder(#[source] io::Error),
}

impl From<Kind> for SendError {
    fn from(kind: Kind) -> Self {
        Self { kind, reply: None }
    }
}

impl SendError {
    pub(super) fn off() -> Self {
        Kind::Off.into()
    }

    pub(super) fn address() -> Self {
        Kind::Address.into()
    }

    pub(super) fn message() -> Self {
        Kind::Message.into()
    }

    pub(super) fn template(name: &'static str, source: minijinja::Error) -> Self {
        Kind::Template { name, source }.into()
    }

    pub(super) fn timed_out(stage: Stage) -> Self {
        Kind::TimedOut(stage).into()
    }

    pub(super) fn folder(error: io::Error) -> Self {
        Kind::Folder(error).into()
    }

    pub(super) fn unreachable(error: io::Error) -> Self {
        Kind::Unreachable(Some(error)).into()
    }

    /// What lettre says, without its words: they repeat the server's, which can name the recipient.
    pub(super) fn smtp(stage: Stage, error: smtp::Error) -> Self {
        if let Some(code) = error.status() {
            return Self::refused(stage, u16::from(code), &error);
        }
        let cause = io_error(&error);
        // What rustls refuses comes as this kind of error.
        // Later it is an answer in another character set.
        let is_tls = |cause: &io::Error| {
            cause.kind() == io::ErrorKind::InvalidData && stage == Stage::Connect
        };
        let kind = if error.is_tls() || cause.as_ref().is_some_and(is_tls) {
            Kind::Tls(cause)
        } else if error.is_client() && stage == Stage::Connect {
            Kind::NoTls
        } else if error.is_client() && stage == Stage::Authenticate {
            Kind::NoMechanism
        } else if error.is_client() {
            Kind::Address
        } else if error.is_timeout() {
            Kind::TimedOut(stage)
        } else if stage == Stage::Connect && !error.is_response() {
            Kind::Unreachable(cause)
        } else {
            Kind::BrokeOff(stage)
        };
        kind.into()
    }

    fn refused(stage: Stage, code: u16, error: &smtp::Error) -> Self {
        let words = error.source().map(ToString::to_string).unwrap_or_default();
        // RFC 4954, section 6: these say that the client has to authenticate, or could not. The message is not to blame.
        let is_about_the_client = matches!(code, 530 | 534 | 535 | 538);
        let is_about_the_message = !matches!(stage, Stage::Connect | Stage::Authenticate);
        let code_text = match enhanced(&words) {
            Some(enhanced) => format!("{code} {enhanced}"),
            None => code.to_string(),
        };
        Self {
            kind: Kind::Refused {
                stage,
                code: code_text,
                is_permanent: code >= 500 && is_about_the_message && !is_about_the_client,
            },
            reply: Some(format!("{code} {words}")),
        }
    }

    /// Whether another attempt would fail as well: the server refused this message for good, or its address or template cannot be
    /// used. A server that is away, slow or set up wrongly is no such reason.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self.kind {
            Kind::Address | Kind::Template { .. } | Kind::Message => true,
            Kind::Refused { is_permanent, .. } => is_permanent,
            _ => false,
        }
    }

    /// What the server said. It can name the recipient, so it is for the terminal of an operator, and not for logs.
    #[must_use]
    pub fn reply(&self) -> Option<&str> {
        self.reply.as_deref()
    }

    /// As the error of a job that sends: dead when it is permanent, otherwise tried again.
    #[must_use]
    pub fn into_job_error(self) -> JobError {
        if self.is_permanent() {
            JobError::permanent(self)
        } else {
            JobError::retry(self)
        }
    }

    /// The attribute `error.type` of spans.
    pub(super) fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Off => "off",
            Kind::Address => "address",
            Kind::Template { .. } => "template",
            Kind::Message => "message",
            Kind::Refused { .. } => "refused",
            Kind::TimedOut(_) => "timeout",
            Kind::BrokeOff(_) => "broken_off",
            Kind::NoTls | Kind::Tls(_) => "tls",
            Kind::NoMechanism => "authentication",
            Kind::Unreachable(_) => "unreachable",
            Kind::Folder(_) => "folder",
        }
    }
}

/// Without the reply.
impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

/// The innermost error of the operating system or of TLS, whose words name no recipient.
fn io_error(error: &smtp::Error) -> Option<io::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(found) = inner.downcast_ref::<io::Error>() {
            return Some(io::Error::new(found.kind(), found.to_string()));
        }
        source = inner.source();
    }
    None
}

/// The enhanced status code that a reply begins with (RFC 2034): `5.1.1`.
fn enhanced(words: &str) -> Option<&str> {
    let first = words.split_whitespace().next()?;
    let is_number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = first.split('.');
    let is_code = parts.clone().count() == 3 && parts.all(is_number);
    is_code.then_some(first)
}
