//! Who is calling.
//!
//! A request is checked twice. The guard reads session and user when the headers have arrived and
//! before the body is looked at. That result may be read with, and no more: until the body has
//! arrived and the password is hashed, which a client can delay by many seconds, the session can
//! end, the account can be disabled and its role can be lowered.
//!
//! So there are two types. An endpoint that reads gets a [`Principal`]. An endpoint that writes gets
//! a [`Caller`], which says who the request claims to come from and is of no other use. It has no
//! way to a principal or to a transaction but [`Caller::begin`], which consumes it, locks user and
//! session, and checks both again. All functions that write take what `begin` returns, so a handler
//! cannot write for a caller that was not checked under lock:
//!
//! ```compile_fail,E0616
//! use warp_skeleton::features::identity::{Caller, Principal};
//!
//! fn handle(caller: Caller) -> Principal {
//!     caller.seen
//! }
//! ```
//!
//! ```compile_fail,E0382
//! use warp_skeleton::features::identity::{Caller, Locks};
//!
//! async fn handle(caller: Caller) {
//!     let _ = caller.begin(Locks::None).await;
//!     let _ = caller.begin(Locks::None).await;
//! }
//! ```
//!
//! ```compile_fail,E0599
//! use warp_skeleton::features::identity::Caller;
//!
//! fn handle(caller: Caller) -> (Caller, Caller) {
//!     (caller.clone(), caller)
//! }
//! ```
//!
//! What does compile, as the control:
//!
//! ```
//! use warp_skeleton::features::identity::{Caller, Error, Locks, Principal};
//!
//! async fn handle(caller: Caller) -> Result<Principal, Error> {
//!     let (principal, transaction) = caller.begin(Locks::None).await?;
//!     transaction.commit().await?;
//!     Ok(principal)
//! }
//! ```

use std::fmt;

use time::OffsetDateTime;

use super::{
    Auth, ClientInfo, Email, Error, SessionId, User, UserId,
    requirement::Requirement,
    transaction::{Locks, WriteTransaction},
};

/// Who is calling: an active user, and what proves it.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The user, as read with the credential.
    pub user: User,
    /// What the request was authenticated by.
    pub credential: Credential,
    /// When the password was last given in the session. `None` when there is no session.
    pub authenticated_at: Option<OffsetDateTime>,
}

impl Principal {
    /// The user's id.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.user.id
    }

    /// The session the request belongs to, when it was authenticated by one.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        self.credential.session_id()
    }
}

// api_keys: begin
crate::shared::id! {
    /// The id of an API key.
    ApiKeyId
}
// api_keys: end

/// What a request was authenticated by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// An access token of a live session.
    Session {
        /// The session.
        id: SessionId,
    },
    // browser_sessions: begin
    /// The cookie of a live session.
    Cookie {
        /// The session.
        session: SessionId,
        /// The hash of the cookie's value.
        hash: [u8; 32],
    },
    // browser_sessions: end
    // api_keys: begin
    /// The key of a machine.
    Key {
        /// The key.
        id: ApiKeyId,
    },
    // api_keys: end
}

impl Credential {
    /// The session, when it is one.
    #[must_use]
    pub fn session_id(self) -> Option<SessionId> {
        match self {
            Self::Session { id } => Some(id),
            // browser_sessions: begin
            Self::Cookie { session, .. } => Some(session),
            // browser_sessions: end
            // api_keys: begin
            Self::Key { .. } => None,
            // api_keys: end
        }
    }
}

/// Who a request that writes claims to come from, to be checked again by [`begin`](Self::begin).
///
/// What it offers before that is what hashing and limits need, which come first: inside a
/// transaction they would hold its connection while they wait, and take a second one.
pub struct Caller {
    seen: Principal,
    required: Requirement,
    client: ClientInfo,
    auth: Auth,
}

impl Caller {
    /// The caller of a request that a guard admitted; `required` is what the guard asks for.
    pub(super) fn new(
        seen: Principal,
        required: Requirement,
        client: ClientInfo,
        auth: Auth,
    ) -> Self {
        Self {
            seen,
            required,
            client,
            auth,
        }
    }

    /// The id of the user that the request claims to come from. It does not change.
    #[must_use]
    pub fn user_id(&self) -> UserId {
        self.seen.user.id
    }

    /// The session that the request claims to belong to. It does not change.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        self.seen.session_id()
    }

    /// The user's address when the request came: for the rules of passwords and for limits.
    #[must_use]
    pub fn email(&self) -> &Email {
        &self.seen.user.email
    }

    /// Where the request comes from.
    #[must_use]
    pub fn client(&self) -> &ClientInfo {
        &self.client
    }

    /// Begins a transaction, locks what `locks` says, and checks the caller again.
    ///
    /// The principal is the user as it is under lock.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidAccessToken`] when the session has ended or the account is disabled or gone,
    /// [`Error::InsufficientRole`] when the role is below the one that the endpoint's guard requires,
    /// [`Error::ReauthenticationRequired`] when the password was given too long ago for it, [`Error::Database`] otherwise. Nothing is changed then.
    pub async fn begin(self, locks: Locks) -> Result<(Principal, WriteTransaction), Error> {
        let Self {
            seen,
            required,
            client,
            auth,
        } = self;
        auth.begin_for(seen.id(), seen.credential, required, client, locks)
            .await
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("user_id", &self.user_id())
            .finish_non_exhaustive()
    }
}
