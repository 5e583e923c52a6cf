//! The metrics of requests.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry, histogram_opts, opts,
};

use crate::telemetry::{LATENCY_BUCKETS, register};

const LABELS: &[&str] = &["method", "path", "status_code"];

/// Counts requests, failures and their latency by route template.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    errors: IntCounterVec,
    latency: HistogramVec,
    in_flight: IntGauge,
    /// The series of each kind of answer, looked up among labels once.
    series: Arc<RwLock<HashMap<Kind, Series>>>,
}

/// Method, route template and status code.
type Kind = (&'static str, &'static str, u16);

/// What is counted for one kind of answer.
#[derive(Clone)]
struct Series {
    requests: IntCounter,
    latency: Histogram,
    /// Only for failures of ours.
    errors: Option<IntCounter>,
}

impl Series {
    fn observe(&self, elapsed: Duration) {
        self.requests.inc();
        self.latency.observe(elapsed.as_secs_f64());
        if let Some(errors) = &self.errors {
            errors.inc();
        }
    }
}

impl HttpMetrics {
    /// Registers the families.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let requests = opts!("request_count", "Requests answered.");
        let errors = opts!("error_count", "Requests answered with a 5xx.");
        let latency = histogram_opts!(
            "request_latency_seconds",
            "Time from a request's head to its answer, in seconds.",
            LATENCY_BUCKETS.to_vec()
        );
        Self {
            requests: register(registry, IntCounterVec::new(requests, LABELS)),
            errors: register(registry, IntCounterVec::new(errors, LABELS)),
            latency: register(registry, HistogramVec::new(latency, LABELS)),
            in_flight: register(
                registry,
                IntGauge::new("requests_in_flight", "Requests being answered now."),
            ),
            series: Arc::default(),
        }
    }

    pub(super) fn begin(&self) {
        self.in_flight.inc();
    }

    pub(super) fn end(
        &self,
        method: &'static str,
        path: &'static str,
        status: u16,
        elapsed: Duration,
    ) {
        self.in_flight.dec();
        let kind = (method, path, status);
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(&kind) {
            series.observe(elapsed);
            return;
        }
        drop(known);
        let series = self.find(kind);
        series.observe(elapsed);
        let mut known = self.series.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(kind, series);
    }

    fn find(&self, (method, path, status): Kind) -> Series {
        let status_code = status.to_string();
        let labels = [method, path, &status_code];
        Series {
            requests: self.requests.with_label_values(&labels),
            latency: self.latency.with_label_values(&labels),
            errors: (status >= 500).then(|| self.errors.with_label_values(&labels)),
        }
    }
}
