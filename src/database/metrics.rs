//! The metrics of the database.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use prometheus::{
    Histogram, HistogramVec, IntCounterVec, IntGaugeVec, Registry, histogram_opts, opts,
};

use super::{error::DatabaseError, statement::Query};
use crate::telemetry::{LATENCY_BUCKETS, register};

const SYSTEM: &str = "postgresql";
const LABELS: &[&str] = &["db_system", "operation", "query"];

/// Counts statements, failures and the state of the pool.
#[derive(Debug, Clone)]
pub struct DatabaseMetrics {
    queries: HistogramVec,
    errors: IntCounterVec,
    /// The series of each statement by its name, looked up among labels once.
    series: Arc<RwLock<HashMap<&'static str, Histogram>>>,
    pub(super) connections: IntGaugeVec,
    pub(super) wait: Histogram,
}

impl DatabaseMetrics {
    /// Registers the families.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let buckets = LATENCY_BUCKETS.to_vec();
        let queries = histogram_opts!(
            "db_query_duration_seconds",
            "Time from sending a statement to its last row, in seconds.",
            buckets.clone()
        );
        let errors = opts!(
            "db_errors_total",
            "Statements that failed, broken constraints apart."
        );
        let connections = opts!("db_pool_connections", "Connections of the pool by state.");
        let wait = histogram_opts!(
            "db_pool_wait_seconds",
            "Time a request waited for a connection of the pool, in seconds.",
            buckets
        );
        let errors = register(registry, IntCounterVec::new(errors, LABELS));
        // There from the start, so that the first failure is seen as a change.
        let _ = errors.with_label_values(&[SYSTEM, "connect", "connect"]);
        Self {
            queries: register(registry, HistogramVec::new(queries, LABELS)),
            errors,
            series: Arc::default(),
            connections: register(registry, IntGaugeVec::new(connections, &["state"])),
            wait: register(registry, Histogram::with_opts(wait)),
        }
    }

    /// A broken constraint is the database at work, not a failure of it.
    pub(super) fn observe(&self, query: &Query, elapsed: Duration, error: Option<&DatabaseError>) {
        self.observe_duration(query, elapsed.as_secs_f64());
        if error.is_some_and(|error| !matches!(error, DatabaseError::Constraint { .. })) {
            self.observe_failure(query.operation(), query.name);
        }
    }

    fn observe_duration(&self, query: &Query, seconds: f64) {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = series.get(query.name) {
            histogram.observe(seconds);
            return;
        }
        drop(series);
        let labels = [SYSTEM, query.operation(), query.name];
        let histogram = self.queries.with_label_values(&labels);
        histogram.observe(seconds);
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        series.insert(query.name, histogram);
    }

    pub(super) fn observe_failure(&self, operation: &str, query: &str) {
        self.errors
            .with_label_values(&[SYSTEM, operation, query])
            .inc();
    }
}
