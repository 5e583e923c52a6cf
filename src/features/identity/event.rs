//! What happens to accounts and sessions: typed events, and who is told.
//!
//! Each write that changes an account, a session or a permission reports one [`Event`] through
//! [`WriteTransaction::emit`]. Two kinds of subscriber get it, both listed in `app.rs`:
//!
//! - An observer runs inside the transaction and may write to it: when it fails, the change is
//!   rolled back, and when the change is rolled back, so is what it wrote.
//! - A hook runs after the commit, and cannot fail: the log line, the counter, waking a task.
//!
//! A refusal changes nothing and has no transaction. It goes to `AuthEvents::refused`, which logs and
//! counts it (`auth_events.rs`).
//!
//! The plain rotation of a refresh token has no observer: it is a single statement, sent for each active client every
//! few minutes, and is only logged and counted; so is a token that gets the same successor again, which changes nothing. No event at all is made of what changes no rights: a password that is
//! hashed again at another cost, the time a session was last used, the clean-up. Sessions that end because an account
//! has too many are part of the event of the sign-in that ended them.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{ClientInfo, Credential, Email, Error, Role, SessionId, UserId, WriteTransaction};
// api_keys: begin
use super::ApiKeyId;
// api_keys: end

/// Something that changed.
#[derive(Debug, Clone)]
pub struct Event {
    /// Who changed it.
    pub actor: Actor,
    /// Where the request came from; empty when there was none.
    pub client: ClientInfo,
    /// What changed, and whose it is.
    pub change: Change,
}

/// Who changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A client that is not signed in: it registers, signs in or presents a refresh token.
    Anonymous,
    /// A signed-in user.
    User {
        /// Its id.
        id: UserId,
        /// What the request was authenticated by.
        credential: Credential,
    },
    /// A person who runs the program on the server.
    Operator,
}

/// What changed, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An account was added.
    UserCreated {
        /// The new account.
        user: UserId,
        /// Its role.
        role: Role,
    },
    /// A session was opened.
    SessionOpened {
        /// The account.
        user: UserId,
        /// The new session.
        session: SessionId,
        /// Whether the account is not known to have been used from where it was opened. `false` where that is not known.
        from_new_network: bool,
    },
    /// A session was continued with a new refresh token.
    SessionRefreshed {
        /// The account.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// A refresh token came again a moment after it was used, and got the same successor.
    RefreshTokenRepeated {
        /// The account.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// A refresh token was used twice, and its session was ended.
    RefreshTokenReused {
        /// The account.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// The caller gave its password again.
    Reauthenticated {
        /// The account.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// The caller ended the session it is in.
    SignedOut {
        /// The account.
        user: UserId,
        /// The session.
        session: Option<SessionId>,
    },
    /// The caller ended one of its sessions.
    SessionRevoked {
        /// The account.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// All sessions of an account were ended.
    AllSessionsRevoked {
        /// The account.
        user: UserId,
    },
    /// An account got another password. Its sessions ended, except the one that asked for it.
    PasswordChanged {
        /// The account.
        user: UserId,
        /// The session that stays.
        session: Option<SessionId>,
        // api_keys: begin
        /// Whether its API keys end as well.
        revokes_keys: bool,
        // api_keys: end
    },
    /// An account got another address.
    EmailChanged {
        /// The account.
        user: UserId,
        /// The session it was changed in.
        session: Option<SessionId>,
        /// The address before.
        before: Email,
        /// The address now.
        after: Email,
    },
    /// An account got another role or state. Its sessions ended when it was disabled.
    UserChanged {
        /// The account.
        user: UserId,
        /// The role before and now.
        role: (Role, Role),
        /// Whether it might sign in before, and may now.
        is_active: (bool, bool),
    },
    /// An account was deleted, and its sessions with it.
    UserDeleted {
        /// The account.
        user: UserId,
        /// The role it had.
        role: Role,
    },
    // api_keys: begin
    /// A key was made that acts for an account.
    KeyCreated {
        /// The account.
        user: UserId,
        /// The new key.
        key: ApiKeyId,
    },
    /// A key got another name.
    KeyRenamed {
        /// The account.
        user: UserId,
        /// The key.
        key: ApiKeyId,
    },
    /// A key was made in the place of another one.
    KeyRotated {
        /// The account.
        user: UserId,
        /// The key before, which is still good for a while.
        key: ApiKeyId,
        /// The key now.
        successor: ApiKeyId,
    },
    /// A key was ended.
    KeyRevoked {
        /// The account.
        user: UserId,
        /// The key.
        key: ApiKeyId,
    },
    // api_keys: end
}

impl Change {
    /// The account that it is about.
    #[must_use]
    pub fn user(&self) -> UserId {
        match self {
            Self::UserCreated { user, .. }
            | Self::SessionOpened { user, .. }
            | Self::SessionRefreshed { user, .. }
            | Self::RefreshTokenRepeated { user, .. }
            | Self::RefreshTokenReused { user, .. }
            | Self::Reauthenticated { user, .. }
            | Self::SignedOut { user, .. }
            | Self::SessionRevoked { user, .. }
            | Self::AllSessionsRevoked { user }
            | Self::PasswordChanged { user, .. }
            | Self::EmailChanged { user, .. }
            | Self::UserChanged { user, .. }
            // api_keys: begin
            | Self::KeyCreated { user, .. }
            | Self::KeyRenamed { user, .. }
            | Self::KeyRotated { user, .. }
            | Self::KeyRevoked { user, .. }
            // api_keys: end
            | Self::UserDeleted { user, .. } => *user,
        }
    }

    /// The session that it is about, if it is about one.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::SessionOpened { session, .. }
            | Self::SessionRefreshed { session, .. }
            | Self::RefreshTokenRepeated { session, .. }
            | Self::RefreshTokenReused { session, .. }
            | Self::Reauthenticated { session, .. }
            | Self::SessionRevoked { session, .. } => Some(*session),
            Self::SignedOut { session, .. }
            | Self::PasswordChanged { session, .. }
            | Self::EmailChanged { session, .. } => *session,
            Self::UserCreated { .. }
            | Self::AllSessionsRevoked { .. }
            | Self::UserChanged { .. }
            // api_keys: begin
            | Self::KeyCreated { .. }
            | Self::KeyRenamed { .. }
            | Self::KeyRotated { .. }
            | Self::KeyRevoked { .. }
            // api_keys: end
            | Self::UserDeleted { .. } => None,
        }
    }

    // api_keys: begin
    /// The key that it is about, if it is about one: of two, the one before.
    #[must_use]
    pub fn key(&self) -> Option<ApiKeyId> {
        match self {
            Self::KeyCreated { key, .. }
            | Self::KeyRenamed { key, .. }
            | Self::KeyRotated { key, .. }
            | Self::KeyRevoked { key, .. } => Some(*key),
            _ => None,
        }
    }
    // api_keys: end

    pub(super) fn attempt(&self) -> Attempt {
        match self {
            Self::UserCreated { .. } => Attempt::Register,
            Self::SessionOpened { .. } => Attempt::SignIn,
            Self::SessionRefreshed { .. }
            | Self::RefreshTokenRepeated { .. }
            | Self::RefreshTokenReused { .. } => Attempt::Refresh,
            Self::Reauthenticated { .. } => Attempt::Reauthenticate,
            Self::SignedOut { .. } => Attempt::Logout,
            Self::SessionRevoked { .. } => Attempt::SessionEnd,
            Self::AllSessionsRevoked { .. } => Attempt::LogoutAll,
            Self::PasswordChanged { .. } => Attempt::PasswordChange,
            Self::EmailChanged { .. } => Attempt::EmailChange,
            Self::UserChanged { .. } => Attempt::UserChange,
            Self::UserDeleted { .. } => Attempt::UserDelete,
            // api_keys: begin
            Self::KeyCreated { .. } => Attempt::KeyCreate,
            Self::KeyRenamed { .. } => Attempt::KeyRename,
            Self::KeyRotated { .. } => Attempt::KeyRotate,
            Self::KeyRevoked { .. } => Attempt::KeyRevoke,
            // api_keys: end
        }
    }
}

/// What a client tried: the label `event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// To make an account.
    Register,
    /// To sign in.
    SignIn,
    /// To refresh a session.
    Refresh,
    /// To give its password again.
    Reauthenticate,
    /// To end the session it is in.
    Logout,
    /// To end all of its sessions.
    LogoutAll,
    /// To end one of its sessions, from the list or by one of its tokens.
    SessionEnd,
    /// To change its password.
    PasswordChange,
    /// To change its address.
    EmailChange,
    // recovery: begin
    /// To verify its address.
    EmailVerify,
    // recovery: end
    /// To change the role or state of an account.
    UserChange,
    /// To delete an account.
    UserDelete,
    // api_keys: begin
    /// To make a key.
    KeyCreate,
    /// To give a key another name.
    KeyRename,
    /// To make a key in the place of another one.
    KeyRotate,
    /// To end a key, from the list or by the key itself.
    KeyRevoke,
    // api_keys: end
    // browser_sessions: begin
    /// To have a browser send its cookie from a page of somebody else.
    CrossSite,
    // browser_sessions: end
}

impl Attempt {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::SignIn => "sign_in",
            Self::Refresh => "refresh",
            Self::Reauthenticate => "reauthenticate",
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::SessionEnd => "session_end",
            Self::PasswordChange => "password_change",
            Self::EmailChange => "email_change",
            // recovery: begin
            Self::EmailVerify => "email_verify",
            // recovery: end
            Self::UserChange => "user_change",
            Self::UserDelete => "user_delete",
            // api_keys: begin
            Self::KeyCreate => "key_create",
            Self::KeyRename => "key_rename",
            Self::KeyRotate => "key_rotate",
            Self::KeyRevoke => "key_revoke",
            // api_keys: end
            // browser_sessions: begin
            Self::CrossSite => "cross_site",
            // browser_sessions: end
        }
    }
}

/// Runs inside the transaction of each event: see the module. It may hold what its sinks need.
pub type Observer = Arc<
    dyn for<'a> Fn(&'a WriteTransaction, &'a Event) -> BoxFuture<'a, Result<(), Error>>
        + Send
        + Sync,
>;

/// Runs after the commit of each event: see the module.
pub type Hook = Arc<dyn Fn(&Event) + Send + Sync>;

/// Who is told about events, in this order; clones share everything.
#[derive(Clone)]
pub struct Subscribers {
    /// Called inside the transaction.
    pub observe: Arc<[Observer]>,
    /// Called after the commit.
    pub committed: Arc<[Hook]>,
}

impl Subscribers {
    /// This hook alone.
    #[must_use]
    pub fn of_hook(hook: Hook) -> Self {
        Self {
            observe: Arc::new([]),
            committed: Arc::new([hook]),
        }
    }

    /// These, and behind them another observer and hook.
    #[must_use]
    pub fn and(self, observer: Observer, hook: Hook) -> Self {
        let observe = self.observe.iter().cloned().chain([observer]);
        let committed = self.committed.iter().cloned().chain([hook]);
        Self {
            observe: observe.collect(),
            committed: committed.collect(),
        }
    }

    /// Runs the hooks.
    pub(super) fn committed(&self, event: &Event) {
        for hook in &*self.committed {
            hook(event);
        }
    }
}
