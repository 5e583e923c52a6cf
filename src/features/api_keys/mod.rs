//! Keys by which machines act for an account: scoped, and good until they are revoked or expire.
//!
//! # What a key is
//!
//! `key.rs` has its form: a prefix that is the program's own, 256 random bits and a checksum. It is sent as
//! `Authorization: Bearer`, and told from an access token by its prefix. One whose checksum is wrong is refused before any
//! query, so that a typing mistake costs nothing. The database keeps a SHA-256: of 256 random bits no slow hash is needed
//! (OWASP ASVS 5.0, 6.5.2). The key itself is shown once, when it is made.
//!
//! # What a key may do
//!
//! An endpoint that keys may call states a scope: `.scope("users:read")`. One without a scope refuses every key with
//! `key_not_allowed`, so a key makes no keys, changes no password and ends no session. A key has the scopes that it was
//! made with, and its owner's role of this moment: the right is what both allow, looked up by one statement on each
//! request. So a key that was revoked, an account that was disabled and a role that was lowered count at once, on every
//! replica, and again under lock in the transaction that writes ([`ApiKeys::lock`](super::identity::ApiKeys::lock)). The
//! scopes that there are come from the definitions of the endpoints.
//!
//! # How a key ends
//!
//! - It expires, or is revoked: by its owner, an administrator who is not below the owner, an operator, or whoever holds it
//!   and posts it to `/auth/revoke`.
//! - It is rotated: the successor has the same name, scopes and lifetime, and the old one lives for `KEY_OVERLAP_HOURS`
//!   more. It is revoked at a time in the future then, so nothing has to run when the time comes.
//! - A password that is set by a link in a mail, or by an operator, revokes all keys of the account, inside the same
//!   transaction: whoever had the account may have made some. Somebody who changes their own password decides
//!   (`revoke_api_keys`), and the mail about it lists the keys that live on.
//! - The account is deleted. Disabling it only suspends its keys.
//!
//! Dead keys are kept for 90 days (`sweep.rs`), at most 100 of an account.

mod endpoints;
mod error;
mod key;
mod key_record;
mod problems;
mod scopes;
mod service;
mod settings;
mod sweep;
mod tables;

pub use self::{
    endpoints::endpoints,
    error::Error,
    key::{ApiKey, KeyHash, PREFIX, scanner_rule},
    key_record::{KeyName, KeyNameError, KeyRecord, KeyRevocation},
    scopes::{KnownScopes, ScopeError, Scopes},
    service::{Keys, NewKey, Parts, touch},
    settings::KeySettings,
    sweep::{SWEEP_INTERVAL, sweep},
};
