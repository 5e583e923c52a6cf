//! The kinds of job that this program runs, and its schedules. `app.rs` fills it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chassis_telemetry::Origin;
use futures_util::future::{BoxFuture, FutureExt};

use super::{EnqueueError, Job, JobError, JobId, Priority, Rule, Run, schedule::Schedule};

/// What a handler makes of a payload: its future, or why it cannot be decoded.
type Handler =
    dyn Fn(&str, Run) -> serde_json::Result<BoxFuture<'static, Result<(), JobError>>> + Send + Sync;

/// A kind that this program runs.
#[derive(Clone)]
pub(super) struct Kind {
    pub(super) timeout: Duration,
    pub(super) longest_wait: Duration,
    pub(super) handler: Arc<Handler>,
}

/// The kinds of job that this program runs, and its schedules.
#[derive(Clone, Default)]
pub struct Handlers {
    pub(super) kinds: BTreeMap<&'static str, Kind>,
    pub(super) schedules: Vec<Schedule>,
}

impl Handlers {
    /// Runs jobs of this kind by calling `handler`.
    ///
    /// The handler may be dropped at any `await`: at its timeout, at shutdown, or when the lease was lost. It has to
    /// do no harm when it runs again.
    ///
    /// # Panics
    ///
    /// When the kind has a handler already, or a name that the table does not take: a mistake in the program.
    pub fn register<J, F, R>(&mut self, handler: F)
    where
        J: Job,
        F: Fn(J, Run) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        assert!(
            (1..=64).contains(&J::KIND.len()),
            "the kind `{}` has a name of 1 to 64 characters",
            J::KIND
        );
        let kind = Kind {
            timeout: J::TIMEOUT,
            longest_wait: J::LONGEST_WAIT,
            handler: Arc::new(move |payload, run| {
                let job = serde_json::from_str(payload)?;
                Ok(handler(job, run).boxed())
            }),
        };
        let before = self.kinds.insert(J::KIND, kind);
        assert!(before.is_none(), "the kind `{}` has one handler", J::KIND);
    }

    /// Enqueues this job whenever the rule says so. The name identifies the schedule in `job_schedules`.
    ///
    /// Runs that were missed, because no worker ran, are made up for by one.
    ///
    /// # Panics
    ///
    /// When another schedule has this name.
    pub fn schedule<J: Job>(&mut self, name: &'static str, rule: Rule, job: J) {
        let is_new = self.schedules.iter().all(|known| known.name != name);
        assert!(is_new, "the schedule `{name}` exists once");
        self.schedules.push(Schedule {
            name,
            rule,
            job: Arc::new(move |origin| NewJob::of(&job, origin)),
        });
    }
}

/// A job that is about to be enqueued, whatever its type.
pub(super) struct NewJob {
    pub(super) id: JobId,
    pub(super) kind: &'static str,
    pub(super) payload: String,
    pub(super) priority: Priority,
    pub(super) max_attempts: i32,
    pub(super) unique_key: Option<String>,
    pub(super) origin: Origin,
}

/// The longest payload, in bytes. The table's own limit is on the text that PostgreSQL makes of it.
const MAX_PAYLOAD: usize = 8192;

impl NewJob {
    pub(super) fn of<J: Job>(job: &J, origin: Origin) -> Result<Self, EnqueueError> {
        let kind = J::KIND;
        let payload = serde_json::to_string(job);
        let payload = payload.map_err(|source| EnqueueError::Payload { kind, source })?;
        if payload.len() > MAX_PAYLOAD {
            return Err(EnqueueError::TooLong { kind });
        }
        Ok(Self {
            id: JobId::generate(),
            kind,
            payload,
            priority: J::PRIORITY,
            max_attempts: i32::try_from(J::MAX_ATTEMPTS.max(1)).unwrap_or(i32::MAX),
            unique_key: job.unique_key(),
            origin,
        })
    }
}
