//! Mail: renders messages from templates and hands them to an SMTP server.
//!
//! A feature that sends mail owns its [`Template`]s, which `app.rs` lists, and calls [`Mail::send`] from a job: never inside a
//! transaction, and never while a request waits. The id of the job, or of what the mail is about, is the id of the
//! message ([`Message::id`]), so that a message that was sent twice has one Message-ID (RFC 5322, section 3.6.4). Mail is sent at
//! least once: when the connection breaks after the last byte, nobody knows whether the server took the message, and it
//! is sent again.
//!
//! # Where it goes
//!
//! - `MAIL_URL` set: to that SMTP server, the submission service of a provider or a relay (RFC 6409). What becomes of the message
//!   after the server took it, a bounce included, is not known here.
//! - unset in development and tests: into a folder, `.dev/mail`, as a file that mail programs open. `mail list` lists them.
//! - unset in production: nowhere. [`Mail::is_on`] is false, and features refuse what would need mail.
//!
//! # What may fail
//!
//! [`SendError::is_permanent`] says whether another attempt makes sense. A refusal of this message (SMTP 5xx for sender, recipient
//! or content) is permanent. Everything else is not: 4xx, a server that is away, stalls or breaks off, a wrong password. So a
//! mistake in the settings loses no mail.
//!
//! No address, subject or text of a message is in log lines, spans, metrics or errors. What the server said can
//! name the recipient; only its codes are kept ([`SendError`]), and [`SendError::reply`] is for the operator who sends a test.
//!
//! Elsewhere the lines of this feature name it or stand between `mail: begin` and `mail: end`.

mod error;
mod folder;
mod mailer;
mod message;
mod metrics;
mod preview;
mod settings;
mod smtp;
mod stored;
mod stream;
mod template;

pub use self::{
    error::SendError,
    mailer::{Mail, Message, Parts, Receipt},
    settings::MailSettings,
    stored::StoredMessage,
    template::{Rendered, Template},
};

/// What `mail test` sends.
pub static MAIL_TEST: Template = Template {
    name: "mail_test",
    subject: "Test of the mail of {{ product }}",
    text: include_str!("templates/mail_test.txt"),
    html: include_str!("templates/mail_test.html"),
    sample: || minijinja::context! {},
};
