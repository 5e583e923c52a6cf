//! The time, as an argument.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use time::{Duration, OffsetDateTime};

use super::cut_to_microseconds;

/// The source of the current time.
///
/// One clock rules: expiry of tokens, sessions and everything written to the
/// database is decided by the service's clock, never by PostgreSQL's, so that
/// the two may disagree. What replicas decide together goes by PostgreSQL's.
/// Tests bring a clock they can move.
#[derive(Clone, Default)]
pub struct Clock {
    /// By how many milliseconds it was moved; never outside tests.
    moved: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock, in UTC.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// The machine's clock, moved by so many milliseconds as the number says at the time: for tests.
    #[must_use]
    pub fn moved_by(milliseconds: Arc<AtomicI64>) -> Self {
        Self {
            moved: Some(milliseconds),
        }
    }

    /// The time now, cut to microseconds: what PostgreSQL keeps, so that a
    /// time compares equal to itself after a round trip.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the clock the others ask"
        )]
        let now = OffsetDateTime::now_utc();
        cut_to_microseconds(now + self.offset())
    }

    /// How far it was moved, for what goes by PostgreSQL's clock: zero outside tests.
    #[must_use]
    pub fn offset(&self) -> Duration {
        let moved = self.moved.as_ref();
        Duration::milliseconds(moved.map_or(0, |moved| moved.load(Ordering::Relaxed)))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
