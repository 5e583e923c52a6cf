//! The handle of this feature: its settings and what it works with.

use std::{fmt, sync::Arc, time::Duration};

use chassis_postgres::Database;
use time::OffsetDateTime;

use super::{
    AuthSettings, PasswordPolicy, access_token::AccessTokens, activity::Activity,
    auth_events::AuthEvents, event::Subscribers, flows::Flows, hasher::Hasher,
};
use crate::{features::limits::Limits, shared::clock::Clock};

/// Accounts and their sessions; clones share everything.
#[derive(Clone)]
pub struct Auth(Arc<Parts>);

/// What an [`Auth`] is made of.
pub struct Parts {
    /// Where accounts and sessions are.
    pub database: Database,
    /// Hashes and verifies passwords.
    pub hasher: Hasher,
    /// What a new password has to meet.
    pub policy: PasswordPolicy,
    /// How often one may try.
    pub limits: Limits,
    /// Signs and verifies access tokens.
    pub tokens: AccessTokens,
    /// Takes note of sessions that are in use.
    pub activity: Activity,
    /// Logs and counts refusals.
    pub events: AuthEvents,
    /// Get the events of what changed.
    pub subscribers: Subscribers,
    /// Where other features take part.
    pub flows: Flows,
    /// The time.
    pub clock: Clock,
    /// How long sessions last, and how many a user may have.
    pub lifetimes: SessionLifetimes,
}

/// How long sessions last, and how many a user may have.
#[derive(Debug, Clone, Copy)]
pub struct SessionLifetimes {
    /// How long a session lasts without being refreshed.
    pub idle: Duration,
    /// How long a session lasts at most.
    pub longest: Duration,
    /// Beyond it the oldest session ends.
    pub max_per_user: u32,
}

impl From<&AuthSettings> for SessionLifetimes {
    fn from(settings: &AuthSettings) -> Self {
        Self {
            idle: settings.session_idle_lifetime,
            longest: settings.session_lifetime,
            max_per_user: settings.max_sessions_per_user,
        }
    }
}

impl Auth {
    /// The feature over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// What a new password has to meet.
    #[must_use]
    pub fn policy(&self) -> &PasswordPolicy {
        &self.0.policy
    }

    /// How often one may try.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(super) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(super) fn hasher(&self) -> &Hasher {
        &self.0.hasher
    }

    pub(super) fn tokens(&self) -> &AccessTokens {
        &self.0.tokens
    }

    pub(super) fn activity(&self) -> &Activity {
        &self.0.activity
    }

    pub(super) fn events(&self) -> &AuthEvents {
        &self.0.events
    }

    pub(super) fn subscribers(&self) -> &Subscribers {
        &self.0.subscribers
    }

    pub(super) fn flows(&self) -> &Flows {
        &self.0.flows
    }

    pub(super) fn lifetimes(&self) -> &SessionLifetimes {
        &self.0.lifetimes
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        self.0.clock.now()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth")
    }
}
