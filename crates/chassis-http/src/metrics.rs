//! The metrics of requests.

use std::{sync::OnceLock, time::Duration};

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry, histogram_opts, opts,
};

use super::endpoint::Operation;
use crate::telemetry::{LATENCY_BUCKETS, register};

const LABELS: &[&str] = &["method", "path", "status_code"];

/// Counts requests, failures and their latency by route template.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    errors: IntCounterVec,
    latency: HistogramVec,
    in_flight: IntGauge,
}

/// What distinguishes the requests that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) method: &'static str,
    pub(super) template: &'static str,
}

/// The series of an endpoint by status, each looked up among labels once.
pub(super) struct EndpointSeries {
    labels: Labels,
    statuses: Vec<(u16, OnceLock<Series>)>,
}

/// What is counted for one kind of answer.
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
        }
    }

    pub(super) fn begin(&self) {
        self.in_flight.inc();
    }

    /// Counts an answer. Those that the endpoint does not state, and those without one, are looked up each time.
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
