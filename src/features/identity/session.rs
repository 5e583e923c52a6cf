//! A session: one sign-in, for as long as it lasts.

use std::net::IpAddr;

use time::OffsetDateTime;

use super::{User, UserId};
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

/// A session that is alive, as a request of its user finds it.
#[derive(Debug, Clone)]
pub struct LiveSession {
    /// The session.
    pub session: Session,
    /// Its user, who is active.
    pub user: User,
    /// When the password was last given in it.
    pub authenticated_at: OffsetDateTime,
}

/// Why a session ended before its time, and where.
///
/// The SQL is `revoke`, `revoke_all` and `open` in `tables/sessions.rs`. Two ends have no reason here: nothing writes when
/// a session expires, readers compare `expires_at`; and the rows of a deleted account (`delete` in `accounts.rs`, which
/// administrators and operators share) go with it (`ON DELETE CASCADE` in
/// `migrations/V0002__create_sessions.sql`). The clean-up removes rows of sessions that have ended already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// Its user signed out (`endpoints/logout.rs`), or ended it from the list (`endpoints/revoke_session.rs`).
    Logout,
    /// Its user signed out everywhere (`endpoints/logout_all.rs`).
    LogoutAll,
    /// Its user changed the password (`endpoints/change_password.rs`), which spares only the session that did it.
    PasswordChange,
    /// A client that holds one of its tokens gave it back (`endpoints/revoke_token.rs`).
    Revoked,
    /// One of its refresh tokens came back later than a lost reply or a second tab explains (`session_tokens.rs`).
    Reuse,
    /// Its user signed in or up (`session_tokens.rs`) once more than the limit, and it was the oldest (`open`).
    Limit,
    // browser_sessions: begin
    /// A browser that held it by a cookie signed in again.
    Replaced,
    // browser_sessions: end
    /// Its user was disabled (`accounts.rs`).
    Disabled,
    /// An operator ended it, or set the password of its user, on the shell (`accounts.rs`).
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
            Self::Revoked => "revoked",
            Self::Reuse => "reuse",
            Self::Limit => "limit",
            // browser_sessions: begin
            Self::Replaced => "replaced",
            // browser_sessions: end
            Self::Disabled => "disabled",
            Self::Operator => "operator",
        }
    }
}
