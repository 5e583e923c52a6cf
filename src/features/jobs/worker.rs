//! The worker: one loop that claims, starts runs, and writes what came of them.
//!
//! The loop does one thing at a time, on a connection of its own, in turns: write the runs that ended; at a poll put back
//! what expired and tick the schedules; claim for the slots that are free. Runs are tasks of their own. What ends while the loop writes is
//! written together in the next turn, so a worker under load needs few statements for many jobs.
//!
//! A claim follows a poll, [`Jobs::wake`], or a claim that filled every free slot. It asks for as many as there are free
//! slots and no more: whatever is claimed runs at once, so an expired lease always means that a process was lost.
//!
//! A turn that fails is repeated, each time a little later; its unwritten ends are kept, and their leases renewed, until
//! they are written or lost. A `DELETE` that was committed without an answer is found done by its repetition, and
//! counted as lost.

use std::{collections::HashSet, sync::Arc, time::Duration};

use chassis_postgres::DatabaseError;
use futures_util::FutureExt;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Handlers, JobId, Jobs, Outcome, Priority,
    backoff::spread,
    leases::Leases,
    run::{self, EndedRun},
    schedule,
    tables::claims::{self, Lease},
};

/// The number of expired leases that one poll takes: as many as a process can have.
const EXPIRED: u32 = 1000;

/// The longest pause after a failed turn.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A run whose end was written: the job, its kind, and how it ended.
pub type Finished = (JobId, &'static str, Outcome);

/// Runs jobs of the kinds that it was given.
pub struct Worker {
    jobs: Jobs,
    handlers: Handlers,
    /// Who it is in the column `worker`: this process, and no other before or after it.
    name: String,
    leases: Arc<Leases>,
    sender: mpsc::UnboundedSender<EndedRun>,
    receiver: mpsc::UnboundedReceiver<EndedRun>,
    /// Ended, and not written yet.
    ended: Vec<EndedRun>,
    /// Claimed, and their ends not written yet.
    busy: usize,
    /// The kind that is asked for first, so that none waits for another that always has some.
    first_kind: usize,
    has_schedules: bool,
    /// Whether there may be more to claim.
    look: bool,
    next_poll: Instant,
}

impl Worker {
    pub(super) fn new(jobs: Jobs, handlers: Handlers) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        for kind in handlers.kinds.keys() {
            jobs.inner().metrics.know(kind);
        }
        Self {
            jobs,
            handlers,
            name: uuid::Uuid::new_v4().to_string(),
            leases: Arc::default(),
            sender,
            receiver,
            ended: Vec::new(),
            busy: 0,
            first_kind: 0,
            has_schedules: false,
            look: true,
            next_poll: Instant::now(),
        }
    }

    /// Starts it and its heartbeats, until they are stopped.
    pub(super) fn start(self, tracker: &TaskTracker, stop: &CancellationToken) {
        let (jobs, leases, token) = (self.jobs.clone(), Arc::clone(&self.leases), stop.clone());
        // Boxed, here and below: tokio's code is generated for each type of future.
        tracker.spawn(async move { leases.keep(&jobs, &token).await }.boxed());
        tracker.spawn(self.work(stop.clone()).boxed());
    }

    /// Runs every job that is due, and those that they enqueue, until none is left: for tests, which move the clock first.
    ///
    /// Returns what was run, in the order in which it ended.
    pub async fn run_due(&mut self) -> Result<Vec<Finished>, DatabaseError> {
        let mut all = Vec::new();
        self.leases.renew(&self.jobs).await?;
        self.poll().await?;
        loop {
            let claimed = self.claim(16).await?;
            if claimed == 0 {
                return Ok(all);
            }
            while self.busy > 0 {
                let next = self.receiver.recv().await;
                self.ended.extend(next);
                all.extend(self.write().await?);
            }
        }
    }

    async fn work(mut self, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            if let Err(error) = self.turn().await {
                if failures == 0 {
                    let error = chassis_telemetry::chain(&error);
                    tracing::warn!(error, "job_queue_unavailable");
                }
                let poll = self.jobs.inner().settings.poll;
                let pause = poll * 2_u32.saturating_pow(failures.min(10));
                let pause = tokio::time::sleep(spread(pause.min(LONGEST_PAUSE)));
                failures += 1;
                stop.run_until_cancelled(pause).await;
                continue;
            }
            if failures > 0 {
                tracing::info!("job_queue_available");
            }
            failures = 0;
            let may_claim = self.free() > 0;
            tokio::select! {
                () = stop.cancelled() => {}
                next = self.receiver.recv() => self.ended.extend(next),
                () = self.jobs.inner().wake.notified(), if may_claim => self.look = true,
                () = tokio::time::sleep_until(self.next_poll) => {}
            }
        }
        self.put_back().await;
    }

    /// How many more jobs it may run: none once the process drains.
    fn free(&self) -> usize {
        let inner = self.jobs.inner();
        if inner.draining.is_cancelled() {
            return 0;
        }
        inner.settings.concurrency.saturating_sub(self.busy)
    }

    async fn turn(&mut self) -> Result<(), DatabaseError> {
        while let Ok(next) = self.receiver.try_recv() {
            self.ended.push(next);
        }
        self.write().await?;
        if Instant::now() >= self.next_poll {
            // Before it: what fails there keeps no job waiting but this turn.
            self.next_poll = Instant::now() + spread(self.jobs.inner().settings.poll);
            self.look = true;
            self.poll().await?;
        }
        let free = self.free();
        if self.look && free > 0 {
            self.look = self.claim(free).await? == free;
        }
        Ok(())
    }

    /// What is to be done now and then: expired leases, schedules.
    async fn poll(&mut self) -> Result<(), DatabaseError> {
        let inner = self.jobs.inner();
        if inner.draining.is_cancelled() {
            return Ok(());
        }
        if self.leases.may_take_expired(inner.settings.heartbeat()) {
            let connection = inner.queue.connection().await?;
            let (offset, most) = (self.jobs.offset(), inner.settings.max_losses);
            let expired = claims::take_expired(&connection, offset, most, EXPIRED).await?;
            for (id, kind, is_dead) in expired {
                let kind = self.label(&kind);
                inner.metrics.expired(kind, is_dead);
                tracing::warn!(job_id = %id, kind, is_dead, "job_lease_expired");
            }
        }
        if self.handlers.schedules.is_empty() {
            return Ok(());
        }
        let (offset, all) = (self.jobs.offset(), &self.handlers.schedules);
        if !self.has_schedules {
            schedule::put_all(&inner.queue, offset, all).await?;
            self.has_schedules = true;
        }
        schedule::tick(&self.jobs, &inner.queue, all).await
    }

    /// The label of a kind: one that this program knows, so that a table cannot make series.
    fn label(&self, kind: &str) -> &'static str {
        let known = self.handlers.kinds.get_key_value(kind);
        known.map_or("unknown", |(name, _)| *name)
    }

    /// Claims as many jobs as are due and begins to run them. Returns how many.
    async fn claim(&mut self, most: usize) -> Result<usize, DatabaseError> {
        let kinds: Vec<&'static str> = self.handlers.kinds.keys().copied().collect();
        if kinds.is_empty() {
            return Ok(0);
        }
        self.first_kind = (self.first_kind + 1) % kinds.len();
        let (before, from) = kinds.split_at(self.first_kind);
        let probes: Vec<_> = Priority::ALL
            .iter()
            .flat_map(|priority| from.iter().chain(before).map(|kind| (*priority, *kind)))
            .collect();
        let inner = self.jobs.inner();
        let claimed = {
            let connection = inner.queue.connection().await?;
            let (offset, lease) = (self.jobs.offset(), inner.settings.lease);
            claims::claim(&connection, offset, &probes, most, &self.name, lease).await?
        };
        let count = claimed.len();
        for job in claimed {
            let Some((label, kind)) = self.handlers.kinds.get_key_value(job.kind.as_str()) else {
                continue;
            };
            inner.metrics.claimed(label, job.wait);
            let (kind, sender) = (kind.clone(), self.sender.clone());
            let cancelled = self.leases.add(job.lease);
            let span = inner.tracing.task_from(label, &job.origin);
            self.busy += 1;
            let run = async move {
                // The worker may be gone: then nobody writes it, and the lease expires.
                let _ = sender.send(run::run(job, &kind, span, cancelled).await);
            };
            inner.runs.spawn(run.boxed());
        }
        Ok(count)
    }

    /// Writes the ends of runs, as far as it comes. Those that could not be written are kept.
    ///
    /// A cancelled run is put back like one that is released: where the lease was lost, that changes nothing.
    async fn write(&mut self) -> Result<Vec<Finished>, DatabaseError> {
        let mut written = Vec::new();
        if self.ended.is_empty() {
            return Ok(written);
        }
        let connection = self.jobs.inner().queue.connection().await?;
        let succeeded = |run: &&EndedRun| run.outcome == Outcome::Succeeded;
        let done = self.ended.iter().filter(succeeded);
        let done: Vec<_> = done.map(|run| run.job.lease).collect();
        if !done.is_empty() {
            let held = claims::finish(&connection, &done).await?;
            written.extend(self.close(&done, &held));
        }
        if !self.ended.is_empty() {
            let runs: Vec<_> = self.ended.iter().map(EndedRun::put_back).collect();
            let held = claims::put_back(&connection, self.jobs.offset(), &runs).await?;
            let all: Vec<_> = runs.iter().map(|run| run.lease).collect();
            written.extend(self.close(&all, &held));
        }
        Ok(written)
    }

    /// Forgets these runs, counts them, and writes their lines.
    fn close(&mut self, leases: &[Lease], held: &HashSet<Lease>) -> Vec<Finished> {
        let is_closed = |run: &mut EndedRun| leases.contains(&run.job.lease);
        let closed: Vec<_> = self.ended.extract_if(.., is_closed).collect();
        self.busy -= closed.len();
        let finish = |run: EndedRun| {
            let lease = run.job.lease;
            let outcome = if held.contains(&lease) {
                run.outcome
            } else {
                Outcome::Lost
            };
            self.leases.remove(&lease);
            let kind = self.label(&run.job.kind);
            let metrics = &self.jobs.inner().metrics;
            metrics.finished(kind, outcome, run.duration);
            run.log(outcome);
            (lease.id, kind, outcome)
        };
        closed.into_iter().map(finish).collect()
    }

    /// Ends what still runs, writes what has ended, and puts the rest back, without counting it.
    ///
    /// A handler that does not let itself be cancelled, because it never waits for anything, is not put back: it may
    /// have an effect until the process ends. Its lease expires.
    async fn put_back(&mut self) {
        self.jobs.drain();
        self.leases.cancel_all();
        let within = Duration::from_millis(200);
        let _ = tokio::time::timeout(within, self.jobs.drained()).await;
        while let Ok(next) = self.receiver.try_recv() {
            self.ended.push(next);
        }
        if let Err(error) = self.write().await {
            let error = chassis_telemetry::chain(&error);
            tracing::warn!(error, "jobs_not_released");
        }
        self.jobs.inner().queue.close();
        self.jobs.inner().heart.close();
    }
}
