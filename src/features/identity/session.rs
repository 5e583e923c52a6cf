//! A session: one sign-in, for as long as it lasts.

use std::net::IpAddr;

use time::OffsetDateTime;

use super::UserId;
use crate::shared::id;

id! {
    /// The id of a session.
    SessionId
}

/// One sign-in, for as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// When they signed in.
    pub created_at: OffsetDateTime,
    /// When it was last seen, to the minute.
    pub last_used_at: OffsetDateTime,
    /// When it ends unless it is refreshed.
    pub expires_at: OffsetDateTime,
    /// When it ends in any case.
    pub ends_at: OffsetDateTime,
    /// Where they signed in from.
    pub ip: Option<IpAddr>,
    /// What they signed in with.
    pub user_agent: Option<String>,
}

/// Why a session ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// Its user signed out.
    Logout,
    /// Its user signed out everywhere, or ended it from another one.
    LogoutAll,
    /// Its user changed the password elsewhere.
    PasswordChange,
    /// One of its refresh tokens was used twice.
    Reuse,
    /// There were too many, and it was the oldest.
    Limit,
    /// Its user was disabled.
    Disabled,
    /// An operator ended it.
    Operator,
}

impl Revocation {
    /// As the database knows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::PasswordChange => "password_change",
            Self::Reuse => "reuse",
            Self::Limit => "limit",
            Self::Disabled => "disabled",
            Self::Operator => "operator",
        }
    }
}
