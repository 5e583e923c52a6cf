//! The leases of what this process runs, and when it may take those of others.
//!
//! Each `lease / 3` one statement renews all of them, on a connection that does nothing else. A lease that the answer does
//! not list was lost: another replica put the job back, or an operator removed it. Its handler is cancelled.
//!
//! # An outage is everybody's
//!
//! While PostgreSQL is away nobody can renew, and afterwards every lease may have expired, though every process is well. An
//! expired lease is renewed as long as nobody took it, so all that is needed is that nobody is too quick. A process takes
//! leases of others only
//!
//! - after a heartbeat of its own succeeded, not longer ago than two intervals: one that was stopped or cut off sees first what became of its own leases;
//! - and when none failed within the last interval: those of others get time to come through. A heartbeat that failed is
//!   repeated each second, or several times an interval where that is shorter, so they need less.
//!
//! So every process sends heartbeats, whether it runs anything or not.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chassis_postgres::DatabaseError;
use tokio_util::sync::CancellationToken;

use super::{
    Jobs,
    tables::claims::{self, Lease},
};

/// How soon a heartbeat that failed is repeated.
const AGAIN: Duration = Duration::from_secs(1);

/// What this process runs.
#[derive(Default)]
pub(super) struct Leases(Mutex<State>);

#[derive(Default)]
struct State {
    held: HashMap<Lease, CancellationToken>,
    last_success: Option<Instant>,
    last_failure: Option<Instant>,
}

impl Leases {
    /// Takes note of a run. Returns the token that is cancelled when its lease is lost.
    pub(super) fn add(&self, lease: Lease) -> CancellationToken {
        let token = CancellationToken::new();
        self.state().held.insert(lease, token.clone());
        token
    }

    /// Forgets a run whose end was written.
    pub(super) fn remove(&self, lease: &Lease) {
        self.state().held.remove(lease);
    }

    /// Cancels every run.
    pub(super) fn cancel_all(&self) {
        let state = self.state();
        state.held.values().for_each(CancellationToken::cancel);
    }

    /// Whether this process may put back jobs of others, with heartbeats of this interval.
    pub(super) fn may_take_expired(&self, interval: Duration) -> bool {
        let state = self.state();
        let within = |at: Option<Instant>, time| at.is_some_and(|at| at.elapsed() <= time);
        within(state.last_success, interval * 2) && !within(state.last_failure, interval)
    }

    /// Renews the leases, and cancels what was lost. Returns how many that is.
    pub(super) async fn renew(&self, jobs: &Jobs) -> Result<usize, DatabaseError> {
        let held: Vec<Lease> = self.state().held.keys().copied().collect();
        let (lease, offset) = (jobs.inner().settings.lease, jobs.offset());
        let renewed = async {
            let connection = jobs.inner().heart.connection().await?;
            claims::renew(&connection, offset, lease, &held).await
        };
        let renewed = renewed.await;
        let mut state = self.state();
        let now = Some(Instant::now());
        let renewed = match renewed {
            Ok(renewed) => renewed,
            Err(error) => {
                state.last_failure = now;
                return Err(error);
            }
        };
        state.last_success = now;
        // One that ended meanwhile is held no longer, and not in the answer either.
        let lost = held.iter().filter(|lease| !renewed.contains(lease));
        let tokens = lost.filter_map(|lease| state.held.get(lease));
        Ok(tokens.map(CancellationToken::cancel).count())
    }

    /// Renews the leases until stopped.
    pub(super) async fn keep(&self, jobs: &Jobs, stop: &CancellationToken) {
        let interval = jobs.inner().settings.heartbeat();
        let mut is_failing = false;
        while !stop.is_cancelled() {
            let outcome = self.renew(jobs).await;
            if let Err(error) = &outcome
                && !is_failing
            {
                let error = chassis_telemetry::chain(error);
                tracing::warn!(error, "job_heartbeat_failed");
            }
            is_failing = outcome.is_err();
            let pause = if is_failing {
                AGAIN.min(interval / 5)
            } else {
                interval
            };
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_of_others_are_taken_by_who_is_in_touch_and_was_so_for_a_while() {
        let interval = Duration::from_secs(10);
        let may = |success: Option<u64>, failure: Option<u64>| {
            let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds));
            let leases = Leases::default();
            leases.state().last_success = success.and_then(ago);
            leases.state().last_failure = failure.and_then(ago);
            leases.may_take_expired(interval)
        };

        assert!(may(Some(1), None));
        assert!(may(Some(19), Some(30)));
        assert!(!may(None, None), "it has not been in touch yet");
        assert!(!may(Some(21), None), "it was stopped or is cut off");
        assert!(!may(Some(1), Some(9)), "others were cut off as well");
        assert!(may(Some(1), Some(11)));
    }
}
