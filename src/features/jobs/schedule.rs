//! Schedules: jobs that are enqueued when a rule says so, once for all replicas.

use std::{fmt, sync::Arc, time::Duration};

use chassis_postgres::{Database, DatabaseError};
use chassis_telemetry::Origin;
use tracing::Instrument;

use super::{EnqueueError, Jobs, handlers::NewJob, tables::schedules};

/// When a schedule enqueues its job: each period, counted from 1970 in UTC. A change of it counts at the next start of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    period: Duration,
    phase: Duration,
}

impl Rule {
    /// At whole multiples of this time, which is at least a second: `from_hours(1)` is on the hour, `from_hours(24)` at midnight.
    #[must_use]
    pub fn every(period: Duration) -> Self {
        Self {
            period: period.max(Duration::from_secs(1)),
            phase: Duration::ZERO,
        }
    }

    /// So much later: `Rule::every(Duration::from_hours(24)).at(Duration::from_hours(3))` is daily at 03:00.
    #[must_use]
    pub fn at(self, phase: Duration) -> Self {
        Self { phase, ..self }
    }

    pub(super) fn seconds(self) -> (f64, f64) {
        (self.period.as_secs_f64(), self.phase.as_secs_f64())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "every {:?} at {:?}", self.period, self.phase)
    }
}

/// A schedule of this program.
#[derive(Clone)]
pub(super) struct Schedule {
    pub(super) name: &'static str,
    pub(super) rule: Rule,
    pub(super) job: Arc<dyn Fn(Origin) -> Result<NewJob, EnqueueError> + Send + Sync>,
}

/// Makes the rows of these schedules what this program says.
pub(super) async fn put_all(
    database: &Database,
    offset: f64,
    all: &[Schedule],
) -> Result<(), DatabaseError> {
    let connection = database.connection().await?;
    for schedule in all {
        schedules::put(&connection, offset, schedule.name, schedule.rule).await?;
    }
    Ok(())
}

/// Enqueues the jobs of the schedules that are due, unless another replica does.
///
/// A job that cannot be made is logged, and keeps the others from nothing.
pub(super) async fn tick(
    jobs: &Jobs,
    database: &Database,
    all: &[Schedule],
) -> Result<(), DatabaseError> {
    let names: Vec<&str> = all.iter().map(|schedule| schedule.name).collect();
    let due = {
        let connection = database.connection().await?;
        schedules::find_due(&connection, jobs.offset(), &names).await?
    };
    let is_due = |schedule: &&Schedule| due.iter().any(|name| name == schedule.name);
    for schedule in all.iter().filter(is_due) {
        let span = jobs.inner().tracing.task("job_schedule");
        match tick_one(jobs, database, schedule).instrument(span).await {
            Ok(()) => {}
            Err(EnqueueError::Database(error)) if error.is_outage() => return Err(error),
            Err(error) => {
                let error = chassis_telemetry::chain(&error);
                tracing::error!(schedule = schedule.name, error, "job_schedule_failed");
            }
        }
    }
    Ok(())
}

/// One transaction: the job, and the time of the next one. It is rolled back when another replica moved that first.
async fn tick_one(
    jobs: &Jobs,
    database: &Database,
    schedule: &Schedule,
) -> Result<(), EnqueueError> {
    let job = (schedule.job)(jobs.inner().tracing.origin())?;
    let transaction = database.begin().await?;
    let id = jobs.insert(&transaction, &job, Duration::ZERO).await?;
    let (offset, name, rule) = (jobs.offset(), schedule.name, schedule.rule);
    if schedules::advance(&transaction, offset, name, rule, id).await? {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(())
}
