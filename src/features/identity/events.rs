//! What happened to accounts and sessions: counted, and written to the log.

use prometheus::{IntCounterVec, Registry, opts};

use super::{SessionId, UserId};
use crate::telemetry::register;

/// What somebody tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// To make an account.
    Register,
    /// To sign in.
    SignIn,
    /// To refresh a session.
    Refresh,
    /// To end the session they are in.
    Logout,
    /// To end all of their sessions.
    LogoutAll,
    /// To end one of their sessions.
    SessionEnd,
    /// To change their password.
    PasswordChange,
    /// To change their address.
    EmailChange,
    /// To change somebody's role or state.
    UserChange,
    /// To delete somebody.
    UserDelete,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As intended.
    Success,
    /// It was refused.
    Refused,
    /// A refresh token came back that should not have: its session was revoked.
    Reused,
    /// There had been too many attempts.
    Limited,
    /// Something of ours failed.
    Failed,
}

impl Event {
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

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Reused => "reused",
            Self::Limited => "limited",
            Self::Failed => "failed",
        }
    }
}

/// Counts and logs events; clones share the counters.
#[derive(Debug, Clone)]
pub struct Events(IntCounterVec);

impl Events {
    /// Registers the family.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let family = opts!(
            "auth_events_total",
            "What happened to accounts and sessions."
        );
        let family = register(registry, IntCounterVec::new(family, &["event", "outcome"]));
        // There from the start, so that the first one is seen as a change.
        let (refresh, reused) = (Event::Refresh.as_str(), Outcome::Reused.as_str());
        let _ = family.with_label_values(&[refresh, reused]);
        Self(family)
    }

    /// Notes what happened to whom, by ids: an address is nobody's business but its owner's.
    pub(super) fn note(
        &self,
        event: Event,
        outcome: Outcome,
        user_id: Option<UserId>,
        session_id: Option<SessionId>,
    ) {
        let (event, outcome) = (event.as_str(), outcome.as_str());
        self.0.with_label_values(&[event, outcome]).inc();
        tracing::info!(
            event,
            outcome,
            user_id = user_id.map(tracing::field::display),
            session_id = session_id.map(tracing::field::display),
            "auth_event"
        );
    }
}
