//! The metrics of jobs, and what samples the gauges.

use std::time::Duration;

use chassis_postgres::DatabaseError;
use chassis_telemetry::register;
use prometheus::{Gauge, HistogramVec, IntCounterVec, IntGaugeVec, Registry, histogram_opts, opts};

use super::{Jobs, Outcome, tables};

/// The time between two samples. Counting reads the table, so a scrape does not do it.
pub(super) const SAMPLE_INTERVAL: Duration = Duration::from_secs(15);

/// Up to how many jobs of a state are counted.
const MOST: u32 = 100_000;

/// Bounds of the histograms, in seconds: from 1 ms to an hour.
const BUCKETS: [f64; 15] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0, 3600.0,
];

/// The metrics of jobs.
#[derive(Debug, Clone)]
pub(super) struct JobMetrics {
    runs: IntCounterVec,
    duration: HistogramVec,
    wait: HistogramVec,
    pending: IntGaugeVec,
    oldest_due: Gauge,
}

impl JobMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let runs = opts!(
            "jobs_total",
            "Runs of jobs that ended: succeeded, failed, dead, lost, released, or expired with their process."
        );
        let duration = histogram_opts!(
            "job_duration_seconds",
            "Time a run of a job took, in seconds.",
            BUCKETS.to_vec()
        );
        let wait = histogram_opts!(
            "job_wait_seconds",
            "Time from when a job was due until it began to run, in seconds.",
            BUCKETS.to_vec()
        );
        let pending = opts!(
            "jobs_pending",
            "Jobs in the table by state, counted up to 100000, every 15 s."
        );
        let oldest_due = Gauge::new(
            "jobs_oldest_due_seconds",
            "How long the job has been due that has been due longest, every 15 s.",
        );
        let runs = register(registry, IntCounterVec::new(runs, &["kind", "outcome"]));
        // The first death has to be seen as an increase.
        let _ = runs.with_label_values(&["unknown", Outcome::Dead.as_str()]);
        Self {
            runs,
            duration: register(registry, HistogramVec::new(duration, &["kind"])),
            wait: register(registry, HistogramVec::new(wait, &["kind"])),
            pending: register(registry, IntGaugeVec::new(pending, &["state"])),
            oldest_due: register(registry, oldest_due),
        }
    }

    /// Makes the series of a kind that alerts watch, so that the first death of it is seen as an increase.
    pub(super) fn know(&self, kind: &str) {
        let _ = self.runs.with_label_values(&[kind, Outcome::Dead.as_str()]);
    }

    pub(super) fn claimed(&self, kind: &str, wait: Duration) {
        let wait_seconds = self.wait.with_label_values(&[kind]);
        wait_seconds.observe(wait.as_secs_f64());
    }

    pub(super) fn finished(&self, kind: &str, outcome: Outcome, duration: Duration) {
        let labels = [kind, outcome.as_str()];
        self.runs.with_label_values(&labels).inc();
        let seconds = self.duration.with_label_values(&[kind]);
        seconds.observe(duration.as_secs_f64());
    }

    /// A run that another process did not end.
    pub(super) fn expired(&self, kind: &str, is_dead: bool) {
        self.runs.with_label_values(&[kind, "expired"]).inc();
        if is_dead {
            let labels = [kind, Outcome::Dead.as_str()];
            self.runs.with_label_values(&labels).inc();
        }
    }
}

/// Samples the gauges. While the table cannot be read they keep the last sample.
pub(super) async fn sample(jobs: &Jobs) -> Result<(), DatabaseError> {
    let (reader, metrics) = (jobs.inner().database.reader(), &jobs.inner().metrics);
    let oldest = tables::jobs::oldest_due(&reader, jobs.offset()).await?;
    metrics.oldest_due.set(oldest);
    for (state, count) in tables::jobs::count(&reader, MOST).await? {
        metrics.pending.with_label_values(&[&state]).set(count);
    }
    Ok(())
}
