//! What an endpoint requires of its caller.

use time::{Duration, OffsetDateTime};

use super::{Error, Principal, Role};

/// For how long a password counts as given just now (OWASP ASVS 5.0, 7.5.1).
pub const RECENT: Duration = Duration::minutes(10);

/// What an endpoint requires of its caller, besides being one. The guard looks at it, and the transaction again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Requirement {
    /// The lowest role.
    pub(super) role: Option<Role>,
    /// What a credential has to be good for that is not good for everything. `None`: no such credential will do.
    pub(super) scope: Option<&'static str>,
    /// Whether the caller has to have proven its password within [`RECENT`].
    pub(super) recent: bool,
}

impl Requirement {
    /// Refuses a caller who does not meet it. The scope is the credential's affair.
    pub(super) fn check(self, caller: &Principal, now: OffsetDateTime) -> Result<(), Error> {
        if let Some(role) = self.role.filter(|role| caller.user.role < *role) {
            return Err(Error::InsufficientRole(role));
        }
        let is_recent = |at: OffsetDateTime| now - at < RECENT;
        if self.recent && !caller.authenticated_at.is_some_and(is_recent) {
            return Err(Error::ReauthenticationRequired);
        }
        Ok(())
    }
}
