//! The time, as an argument.

use std::{fmt, sync::Arc};

use time::OffsetDateTime;

use super::cut_to_microseconds;

/// The source of the current time.
///
/// One clock rules: expiry of tokens, sessions and everything written to the
/// database is decided by the service's clock, never by PostgreSQL's, so that
/// the two may disagree. Tests bring a clock they can move.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>);

impl Clock {
    /// The machine's clock, in UTC.
    #[must_use]
    pub fn system() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the clock the others ask"
        )]
        let now = OffsetDateTime::now_utc;
        Self::from_fn(now)
    }

    /// A clock that says whatever the function says.
    pub fn from_fn(now: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time now, cut to microseconds: what PostgreSQL keeps, so that a
    /// time compares equal to itself after a round trip.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        cut_to_microseconds((self.0)())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
