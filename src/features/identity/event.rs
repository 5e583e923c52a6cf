//! What happens to accounts and sessions: typed events, and who is told.
//!
//! Each write that changes an account, a session or a permission reports one [`Event`] through
//! [`WriteTransaction::emit`]. Two kinds of subscriber get it, both given in `app.rs`:
//!
//! - The observer runs inside the transaction and may write to it: when it fails, the change is
//!   rolled back, and when the change is rolled back, so is what it wrote. It is one function that calls
//!   each of its sinks.
//! - The hook runs after the commit, and cannot fail: the log line, the counter, waking a task.
//!
//! A refusal changes nothing and has no transaction. It goes to `AuthEvents::refused`, which logs and
//! counts it.
//!
//! The plain rotation of a refresh token has no observer: it is a single statement, sent for each active client every
//! few minutes, and is only logged and counted; so is a token that gets the same successor again, which changes nothing. No event at all is made of what changes no rights: a password that is
//! hashed again at another cost, the time a session was last used, the clean-up. Sessions that end because an account
//! has too many are part of the event of the sign-in that ended them.

use std::sync::Arc;

use chassis_telemetry::register;
use futures_util::future::BoxFuture;
use prometheus::{IntCounterVec, Registry, opts};

use super::{
    ClientInfo, Credential, Email, Error, HashError, Role, SessionId, UserId, WriteTransaction,
    authentication::CredentialsRefused, policy::Denied,
};
use crate::features::limits;

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
            | Self::SignedOut { user, .. }
            | Self::SessionRevoked { user, .. }
            | Self::AllSessionsRevoked { user }
            | Self::PasswordChanged { user, .. }
            | Self::EmailChanged { user, .. }
            | Self::UserChanged { user, .. }
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
            | Self::SessionRevoked { session, .. } => Some(*session),
            Self::SignedOut { session, .. }
            | Self::PasswordChanged { session, .. }
            | Self::EmailChanged { session, .. } => *session,
            Self::UserCreated { .. }
            | Self::AllSessionsRevoked { .. }
            | Self::UserChanged { .. }
            | Self::UserDeleted { .. } => None,
        }
    }

    fn attempt(&self) -> Attempt {
        match self {
            Self::UserCreated { .. } => Attempt::Register,
            Self::SessionOpened { .. } => Attempt::SignIn,
            Self::SessionRefreshed { .. }
            | Self::RefreshTokenRepeated { .. }
            | Self::RefreshTokenReused { .. } => Attempt::Refresh,
            Self::SignedOut { .. } => Attempt::Logout,
            Self::SessionRevoked { .. } => Attempt::SessionEnd,
            Self::AllSessionsRevoked { .. } => Attempt::LogoutAll,
            Self::PasswordChanged { .. } => Attempt::PasswordChange,
            Self::EmailChanged { .. } => Attempt::EmailChange,
            Self::UserChanged { .. } => Attempt::UserChange,
            Self::UserDeleted { .. } => Attempt::UserDelete,
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
    /// To change the role or state of an account.
    UserChange,
    /// To delete an account.
    UserDelete,
}

impl Attempt {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::SignIn => "sign_in",
            Self::Refresh => "refresh",
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::SessionEnd => "session_end",
            Self::PasswordChange => "password_change",
            Self::EmailChange => "email_change",
            Self::UserChange => "user_change",
            Self::UserDelete => "user_delete",
        }
    }
}

/// How it went: the label `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// As intended.
    Success,
    /// It was refused.
    Refused,
    /// A refresh token came again a moment after it was used: it got the same successor.
    Repeated,
    /// A refresh token came back that should not have: its session was revoked.
    Reused,
    /// There had been too many attempts.
    Limited,
    /// Something of ours failed.
    Failed,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Repeated => "repeated",
            Self::Reused => "reused",
            Self::Limited => "limited",
            Self::Failed => "failed",
        }
    }

    fn of(error: &Error) -> Self {
        match error {
            Error::Limits(limits::Error::Source(_) | limits::Error::Account(_)) => Self::Limited,
            Error::Limits(limits::Error::Uncounted(_)) | Error::Hash(_) | Error::Database(_) => {
                Self::Failed
            }
            _ => Self::Refused,
        }
    }
}

/// Why an attempt changed nothing: the field `reason` of the log line. Not a label of the metric, which counts outcomes.
fn reason_of(error: &Error) -> &'static str {
    match error {
        Error::InvalidCredentials => "invalid_credentials",
        Error::InvalidRefreshToken => "invalid_refresh_token",
        Error::InvalidAccessToken => "invalid_access_token",
        Error::InvalidToken => "invalid_token",
        Error::SessionNotFound => "session_not_found",
        Error::EmailTaken => "email_taken",
        Error::NotFound => "user_not_found",
        Error::InsufficientRole(_) => "insufficient_role",
        Error::Denied(Denied::AboveOwnLevel) => "above_own_level",
        Error::Denied(Denied::LastOwner) => "last_owner",
        Error::WrongPassword => "wrong_password",
        Error::Limits(limits::Error::Source(_)) => "source_limit",
        Error::Limits(limits::Error::Account(_)) => "account_limit",
        Error::Limits(limits::Error::Uncounted(_)) => "not_counted",
        Error::Hash(HashError::Busy) => "hashing_busy",
        Error::Hash(HashError::Failed(_)) => "hashing_failed",
        Error::Database(_) => "database",
    }
}

/// Runs inside the transaction of each event: see the module.
pub type Observer = for<'a> fn(&'a WriteTransaction, &'a Event) -> BoxFuture<'a, Result<(), Error>>;

/// Runs after the commit of each event: see the module.
pub type Hook = Arc<dyn Fn(&Event) + Send + Sync>;

/// Who is told about events; clones share everything.
#[derive(Clone)]
pub struct Subscribers {
    /// Called inside the transaction.
    pub observe: Observer,
    /// Called after the commit.
    pub committed: Hook,
}

/// The counter `auth_events_total` and the log line `auth_event`; clones share the counter.
#[derive(Debug, Clone)]
pub struct AuthEvents(IntCounterVec);

impl AuthEvents {
    /// Registers the family.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let family = opts!(
            "auth_events_total",
            "What happened to accounts and sessions."
        );
        let family = register(registry, IntCounterVec::new(family, &["event", "outcome"]));
        // There from the start, so that the first one is seen as a change.
        let (refresh, reused) = (Attempt::Refresh.as_str(), Outcome::Reused.as_str());
        let _ = family.with_label_values(&[refresh, reused]);
        Self(family)
    }

    /// Logs and counts an event that is committed.
    ///
    /// What the operator does on the shell is neither logged nor counted, except a changed or deleted account: the
    /// metrics of a command end with it.
    pub fn committed(&self, event: &Event) {
        let change = &event.change;
        let is_counted = matches!(
            change,
            Change::UserChanged { .. } | Change::UserDeleted { .. }
        );
        if event.actor == Actor::Operator && !is_counted {
            return;
        }
        let outcome = match change {
            Change::RefreshTokenRepeated { .. } => Outcome::Repeated,
            Change::RefreshTokenReused { .. } => Outcome::Reused,
            _ => Outcome::Success,
        };
        let (user, session) = (Some(change.user()), change.session());
        self.note(change.attempt(), outcome, None, user, session);
    }

    /// Logs and counts an attempt that changed nothing, by the ids that are known.
    pub(super) fn refused(
        &self,
        attempt: Attempt,
        error: &Error,
        user: Option<UserId>,
        session: Option<SessionId>,
    ) {
        let reason = Some(reason_of(error));
        self.note(attempt, Outcome::of(error), reason, user, session);
    }

    /// Logs and counts a sign-in with the wrong credentials. The client is not told what is wrong with them; the log is.
    pub(super) fn sign_in_refused(&self, refusal: CredentialsRefused) {
        let reason = Some(refusal.reason());
        self.note(
            Attempt::SignIn,
            Outcome::Refused,
            reason,
            refusal.user(),
            None,
        );
    }

    /// Ids only: e-mail addresses do not belong in logs.
    fn note(
        &self,
        attempt: Attempt,
        outcome: Outcome,
        reason: Option<&'static str>,
        user_id: Option<UserId>,
        session_id: Option<SessionId>,
    ) {
        let (event, outcome) = (attempt.as_str(), outcome.as_str());
        self.0.with_label_values(&[event, outcome]).inc();
        tracing::info!(
            event,
            outcome,
            reason,
            user_id = user_id.map(tracing::field::display),
            session_id = session_id.map(tracing::field::display),
            "auth_event"
        );
    }
}
