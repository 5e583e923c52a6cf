//! Accounts that are recovered by mail: forgotten passwords, verified addresses, changes of address, neutral
//! registration, and notices of what happened to an account.
//!
//! # How a flow runs
//!
//! 1. An endpoint, or an event of [`identity`](super::identity) inside its transaction, opens a request
//!    (`requests.rs`) and enqueues a job. The answer is the same whether or not an address has an account: everything that
//!    depends on that is done by the job (`jobs.rs`), which also sends the mail.
//! 2. The mail has a link. Its token is the request's id and a MAC (`token.rs`) over the account, its mailbox and the time of its password; it is
//!    stored nowhere. While the request is open, asking again sends the same link again, later and later, so that a
//!    stranger neither voids the owner's link nor fills the mailbox.
//! 3. The page that the link leads to posts the token. Only that uses it up, once, under a lock on the account.
//!
//! A link proves who reads a mailbox. To choose a new password that is enough, and ends every session. To verify or
//! change an address it is not: `Recovery::begin_for_owner` says why.
//!
//! Where no mail is sent (`Mail::is_on`), the endpoints of links answer `mail_off`, a new address is taken at once, and
//! nothing else changes.
//!
//! Elsewhere the lines of this feature name it or stand between `recovery: begin` and `recovery: end`.

mod endpoints;
mod jobs;
mod mailbox;
mod pages;
mod problems;
mod request;
mod requests;
mod service;
mod settings;
mod tables;
mod templates;
mod token;

pub use self::{
    endpoints::endpoints,
    jobs::register,
    request::MailRequestId,
    requests::{MailRequests, Parts},
    service::{Recovery, Remaining},
    settings::RecoverySettings,
    templates::TEMPLATES,
};

/// What does not work where no mail is sent, for the operator.
pub const TAKES_MAIL: &str =
    "forgotten passwords, verified addresses, confirmed changes of address, notices";
