//! The metrics of requests: `request_count`, `error_count`, `request_latency_seconds` and `requests_in_flight`.
//!
//! Looking a series up among its labels costs a lock and a hash. So each endpoint keeps the series of the statuses
//! that it documents, looked up on first use; other statuses are looked up each time.

use std::{sync::OnceLock, time::Duration};

use http::Method;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry, histogram_opts, opts,
};

use super::{endpoint::Operation, registration::register};

/// The buckets of the latency, in seconds: from a read by key to the time limit of a request.
const LATENCY_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

const LABELS: &[&str] = &["method", "path", "status_code"];

/// Counts requests and failures, and measures latency, by method, path template and status. Clones share the metrics.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    errors: IntCounterVec,
    latency: HistogramVec,
    in_flight: IntGauge,
}

/// The labels of requests that are counted together, the status apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) method: &'static str,
    pub(super) template: &'static str,
}

/// The series of an endpoint by status, each looked up once.
pub(super) struct EndpointSeries {
    labels: Labels,
    statuses: Vec<(u16, OnceLock<Series>)>,
}

/// The series of one method, template and status.
struct Series {
    requests: IntCounter,
    latency: Histogram,
    /// For 5xx.
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

impl EndpointSeries {
    pub(super) fn new(method: &'static str, operation: &Operation) -> Self {
        let statuses = operation.statuses().map(|status| status.as_u16());
        Self {
            labels: Labels {
                method,
                template: operation.template,
            },
            statuses: statuses.map(|status| (status, OnceLock::new())).collect(),
        }
    }

    fn find(&self, labels: Labels, status: u16) -> Option<&OnceLock<Series>> {
        let mut statuses = self.statuses.iter().filter(|_| self.labels == labels);
        let (_, series) = statuses.find(|(known, _)| *known == status)?;
        Some(series)
    }
}

impl HttpMetrics {
    /// Registers the metrics.
    ///
    /// # Panics
    ///
    /// When the registry has metrics of these names already.
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
        }
    }

    pub(super) fn begin(&self) {
        self.in_flight.inc();
    }

    /// Counts a response.
    pub(super) fn end(
        &self,
        labels: Labels,
        status: u16,
        elapsed: Duration,
        endpoint: Option<&EndpointSeries>,
    ) {
        self.in_flight.dec();
        match endpoint.and_then(|series| series.find(labels, status)) {
            Some(series) => series
                .get_or_init(|| self.series(labels, status))
                .observe(elapsed),
            None => self.series(labels, status).observe(elapsed),
        }
    }

    fn series(&self, Labels { method, template }: Labels, status: u16) -> Series {
        let status_code = status.to_string();
        let labels = [method, template, &status_code];
        Series {
            requests: self.requests.with_label_values(&labels),
            latency: self.latency.with_label_values(&labels),
            errors: (status >= 500).then(|| self.errors.with_label_values(&labels)),
        }
    }
}

/// The method as a label. Unusual methods share one, so that a client cannot make new values.
pub(super) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}
