//! How what happens to accounts and sessions is logged and counted: the line `auth_event`, and its metric.

use std::sync::Arc;

use chassis_telemetry::register;
use prometheus::{IntCounterVec, Registry, opts};

use super::{
    Error, HashError, SessionId, UserId,
    authentication::CredentialsRefused,
    event::{Actor, Attempt, Change, Event, Hook},
    policy::Denied,
};
use crate::features::limits;

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
            Error::Limits(limits::Error::Uncounted(_))
            | Error::Hash(_)
            | Error::Failed(_)
            | Error::Database(_) => Self::Failed,
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
        Error::EmailUnverified => "email_unverified",
        Error::RegistrationClosed => "registration_closed",
        Error::NotFound => "user_not_found",
        Error::InsufficientRole(_) => "insufficient_role",
        Error::ReauthenticationRequired => "reauthentication_required",
        // browser_sessions: begin
        Error::CrossSite => "cross_site",
        Error::AmbiguousCookie => "ambiguous_cookie",
        // browser_sessions: end
        // api_keys: begin
        Error::KeyNotAllowed => "key_not_allowed",
        // api_keys: end
        Error::Denied(Denied::AboveOwnLevel) => "above_own_level",
        Error::Denied(Denied::LastOwner) => "last_owner",
        Error::WrongPassword => "wrong_password",
        Error::NewPassword(_) => "new_password",
        Error::Limits(limits::Error::Source(_)) => "source_limit",
        Error::Limits(limits::Error::Account(_)) => "account_limit",
        Error::Limits(limits::Error::Uncounted(_)) => "not_counted",
        Error::Hash(HashError::Busy) => "hashing_busy",
        Error::Hash(HashError::Failed(_)) => "hashing_failed",
        Error::Failed(_) => "failed",
        Error::Database(_) => "database",
    }
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

    /// The hook that logs and counts events.
    #[must_use]
    pub fn hook(&self) -> Hook {
        let events = self.clone();
        Arc::new(move |event| events.committed(event))
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
        // api_keys: begin
        if let Some(key) = change.key() {
            self.note_key(change.attempt(), change.user(), key);
            return;
        }
        // api_keys: end
        let (user, session) = (Some(change.user()), change.session());
        self.note(change.attempt(), outcome, None, user, session);
    }

    // api_keys: begin
    /// The same for a key that was made, replaced or ended.
    fn note_key(&self, attempt: Attempt, user_id: UserId, key_id: super::ApiKeyId) {
        let (event, outcome) = (attempt.as_str(), Outcome::Success.as_str());
        self.0.with_label_values(&[event, outcome]).inc();
        tracing::info!(event, outcome, %user_id, %key_id, "auth_event");
    }
    // api_keys: end

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
