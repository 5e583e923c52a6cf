//! The metrics of requests.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGauge, Registry, histogram_opts, opts};

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

    pub(super) fn end(&self, method: &str, path: &str, status: u16, elapsed: Duration) {
        let mut digits = [0; 3];
        let labels = [method, path, three_digits(status, &mut digits)];
        self.in_flight.dec();
        self.requests.with_label_values(&labels).inc();
        self.latency
            .with_label_values(&labels)
            .observe(elapsed.as_secs_f64());
        if status >= 500 {
            self.errors.with_label_values(&labels).inc();
        }
    }
}

/// A status code as text, without asking the allocator.
fn three_digits(status: u16, digits: &mut [u8; 3]) -> &str {
    let digit = |divisor: u16| b'0' + u8::try_from(status / divisor % 10).unwrap_or_default();
    *digits = [digit(100), digit(10), digit(1)];
    std::str::from_utf8(digits).expect("digits are ASCII")
}
