//! The handle on the queue that other features hold.

use std::{sync::Arc, time::Duration};

use chassis_postgres::{
    Database, DatabaseMetrics, Pooler, PostgresOptions, TlsError, WriteExecutor,
};
use chassis_telemetry::Tracing;
use prometheus::Registry;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    EnqueueError, Handlers, Job, JobId, JobSettings, Worker,
    handlers::NewJob,
    metrics::{self, JobMetrics},
    tables,
};
use crate::{shared::clock::Clock, tasks::Tasks};

/// What the queue is made from.
pub struct Parts<'a> {
    /// The settings of jobs.
    pub settings: JobSettings,
    /// The pool that operators and samples use.
    pub database: Database,
    /// How the worker connects.
    pub postgres: PostgresOptions,
    /// Where its statements are counted.
    pub database_metrics: DatabaseMetrics,
    /// Where the metrics are registered.
    pub registry: &'a Registry,
    /// Opens the span of each run.
    pub tracing: Tracing,
    /// How far tests moved the time.
    pub clock: Clock,
}

/// The queue: what enqueues jobs. Clones share everything.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

pub(super) struct Inner {
    pub(super) settings: JobSettings,
    pub(super) database: Database,
    /// The worker's connection.
    pub(super) queue: Database,
    /// The connection of its heartbeats, which nothing else delays.
    pub(super) heart: Database,
    pub(super) metrics: JobMetrics,
    pub(super) tracing: Tracing,
    clock: Clock,
    /// Somebody committed a job in this process.
    pub(super) wake: Notify,
    /// No job is begun any more.
    pub(super) draining: CancellationToken,
    /// The runs that are under way.
    pub(super) runs: TaskTracker,
}

impl Jobs {
    /// Puts the parts together. Nothing connects.
    ///
    /// # Errors
    ///
    /// When the certificates to trust cannot be read.
    pub fn new(parts: Parts<'_>) -> Result<Self, TlsError> {
        let heartbeat = parts.settings.heartbeat();
        let own = own_connection(parts.postgres);
        let mut impatient = own.clone();
        impatient.statement_timeout = impatient.statement_timeout.min(heartbeat);
        impatient.pool_timeout = impatient.pool_timeout.min(heartbeat);
        Ok(Self(Arc::new(Inner {
            settings: parts.settings,
            database: parts.database,
            queue: Database::new(&own, parts.database_metrics.clone())?,
            heart: Database::new(&impatient, parts.database_metrics)?,
            metrics: JobMetrics::new(parts.registry),
            tracing: parts.tracing,
            clock: parts.clock,
            wake: Notify::new(),
            draining: CancellationToken::new(),
            runs: TaskTracker::new(),
        })))
    }

    /// Adds a job, which is due at once, to this transaction: it exists if the transaction is committed, and only then.
    ///
    /// Returns its id, or nothing when one with the same [`Job::unique_key`] waits or runs already. Call
    /// [`Jobs::wake`] after the commit.
    pub async fn enqueue<J: Job>(
        &self,
        transaction: &impl WriteExecutor,
        job: &J,
    ) -> Result<Option<JobId>, EnqueueError> {
        self.enqueue_in(transaction, job, Duration::ZERO).await
    }

    /// The same for a job that is due after this delay.
    pub async fn enqueue_in<J: Job>(
        &self,
        transaction: &impl WriteExecutor,
        job: &J,
        delay: Duration,
    ) -> Result<Option<JobId>, EnqueueError> {
        let job = NewJob::of(job, self.0.tracing.origin())?;
        self.insert(transaction, &job, delay).await
    }

    pub(super) async fn insert(
        &self,
        transaction: &impl WriteExecutor,
        job: &NewJob,
        delay: Duration,
    ) -> Result<Option<JobId>, EnqueueError> {
        let inserted = tables::jobs::insert(transaction, self.offset(), delay, job).await;
        match inserted {
            Ok(inserted) => Ok(inserted.then_some(job.id)),
            Err(error) if error.violates("jobs_payload_check") => {
                Err(EnqueueError::TooLong { kind: job.kind })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the worker of this process look for jobs now: after the commit of a transaction that enqueued some.
    ///
    /// Without it they begin at the next poll (`JOBS_POLL_MS`), as they do in other processes.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Begins no further job in this process.
    pub fn drain(&self) {
        self.0.draining.cancel();
        self.0.runs.close();
    }

    /// Waits until no job runs any more, after [`Jobs::drain`].
    pub async fn drained(&self) {
        self.0.runs.wait().await;
    }

    /// A worker that runs jobs of these kinds.
    #[must_use]
    pub fn worker(&self, handlers: Handlers) -> Worker {
        Worker::new(self.clone(), handlers)
    }

    /// Starts what belongs to jobs in a process that serves: the worker, unless `JOBS_CONCURRENCY` is 0, and the samples of
    /// the gauges, which show what waits for workers elsewhere, too.
    pub fn start(&self, handlers: Handlers, tracker: &TaskTracker, stop: &CancellationToken) {
        let tasks = Tasks {
            tracker,
            tracing: self.0.tracing.clone(),
            stop,
        };
        let handle = self.clone();
        tasks.every(metrics::SAMPLE_INTERVAL, "job_sample", move |_| {
            let jobs = handle.clone();
            async move { metrics::sample(&jobs).await }
        });
        if self.0.settings.concurrency > 0 {
            self.worker(handlers).start(tracker, stop);
        }
    }

    /// What is added to PostgreSQL's clock, in seconds: zero outside tests.
    pub(super) fn offset(&self) -> f64 {
        self.0.clock.offset().as_seconds_f64()
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}

/// Options of a connection of the worker's own, for statements one after another.
///
/// A queue is empty most of the time, and then a plan that reads the whole table looks best. A prepared statement would
/// keep that plan when a million jobs come, until the table's statistics do. So this session plans by index only. And it
/// plans each statement once: beside many rows PostgreSQL believes the plan for any parameters to be much dearer than one for
/// these, makes the same plan again for each claim, and that takes two thirds as long as the claim itself. Behind a
/// pooler, which takes no options, each claim is planned beside many rows, and the next `ANALYZE` corrects a plan.
fn own_connection(mut options: PostgresOptions) -> PostgresOptions {
    options.pool_size = 1;
    options.read_connections = 1;
    if options.pooler == Pooler::None {
        let config = &mut options.target.config;
        let given = config.get_options().unwrap_or_default();
        let by_index = "-c enable_seqscan=off -c enable_bitmapscan=off";
        let text = format!("{given} {by_index} -c plan_cache_mode=force_generic_plan");
        config.options(text.trim());
    }
    options
}
