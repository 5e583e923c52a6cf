//! The metrics of the database.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use prometheus::{
    Histogram, HistogramVec, IntCounterVec, IntGaugeVec, Registry, core::Collector, histogram_opts,
    opts,
};

use crate::{error::DatabaseError, query::Query};

/// Bounds of latency histograms, in seconds: from 1 ms to 10 s.
const LATENCY_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

const SYSTEM: &str = "postgresql";
const LABELS: &[&str] = &["db_system", "operation", "query"];

/// Counts statements, failures and the state of the pool.
#[derive(Debug, Clone)]
pub struct DatabaseMetrics {
    queries: HistogramVec,
    errors: IntCounterVec,
    /// The histogram of each statement by the statement's name, so that labels are hashed once a statement.
    series: Arc<RwLock<HashMap<&'static str, Histogram>>>,
    pub(crate) connections: IntGaugeVec,
    pub(crate) wait: Histogram,
}

impl DatabaseMetrics {
    /// Registers the families.
    ///
    /// # Panics
    ///
    /// When a family of one of these names is registered already.
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
        // The series exists from the start, so that the first failure shows as an increase.
        let _ = errors.with_label_values(&[SYSTEM, "connect", "connect"]);
        Self {
            queries: register(registry, HistogramVec::new(queries, LABELS)),
            errors,
            series: Arc::default(),
            connections: register(registry, IntGaugeVec::new(connections, &["state"])),
            wait: register(registry, Histogram::with_opts(wait)),
        }
    }

    /// Counts a statement. A violated constraint is not counted as a failure of the database.
    pub(crate) fn observe(&self, query: &Query, elapsed: Duration, error: Option<&DatabaseError>) {
        self.observe_duration(query, elapsed.as_secs_f64());
        if error.is_some_and(|error| !matches!(error, DatabaseError::Constraint { .. })) {
            self.observe_failure(query.operation.label(), query.name);
        }
    }

    fn observe_duration(&self, query: &Query, seconds: f64) {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = series.get(query.name) {
            histogram.observe(seconds);
            return;
        }
        drop(series);
        let labels = [SYSTEM, query.operation.label(), query.name];
        let histogram = self.queries.with_label_values(&labels);
        histogram.observe(seconds);
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        series.insert(query.name, histogram);
    }

    pub(crate) fn observe_failure(&self, operation: &str, query: &str) {
        self.errors
            .with_label_values(&[SYSTEM, operation, query])
            .inc();
    }
}

/// Registers a family of metrics and returns it.
fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<C>,
) -> C {
    let family = family.expect("names, labels and buckets are valid");
    registry
        .register(Box::new(family.clone()))
        .expect("each family is registered once");
    family
}
