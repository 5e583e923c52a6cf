//! What is recorded about a request when it ends: metrics, the fields of its span, and one log line.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tracing::Span;

use crate::{
    metrics::{EndpointSeries, HttpMetrics, Labels},
    problem::Problem,
};

/// The status that is recorded for a client that left before its answer, as nginx writes it.
const CLIENT_LEFT: u16 = 499;

/// The record of one request. It is written on drop, so that requests whose client has left are recorded too: the
/// server drops their future.
pub(super) struct RequestRecord<'a> {
    pub(super) metrics: &'a HttpMetrics,
    pub(super) labels: Labels,
    pub(super) series: Option<&'a EndpointSeries>,
    pub(super) is_probe: bool,
    pub(super) started: Instant,
    pub(super) span: Span,
    pub(super) status: Option<StatusCode>,
    pub(super) problem: Option<&'static str>,
}

impl RequestRecord<'_> {
    /// Writes the record of an answered request; `problem` is the code of the problem that it was answered with.
    pub(super) fn end(mut self, status: StatusCode, problem: Option<&'static str>) {
        self.status = Some(status);
        self.problem = problem;
    }
}

impl Drop for RequestRecord<'_> {
    fn drop(&mut self) {
        let status = self.status.map_or(CLIENT_LEFT, |status| status.as_u16());
        let elapsed = self.started.elapsed();
        self.metrics.end(self.labels, status, elapsed, self.series);
        end_span(&self.span, status, self.problem);
        let is_routine = self.is_probe && status < 400;
        self.span
            .in_scope(|| log_completion(status, self.problem, elapsed, is_routine));
    }
}

/// The one line of a request, with the code of the problem that was its answer. Each level is a callsite of its own.
fn log_completion(status_code: u16, code: Option<&str>, elapsed: Duration, is_routine: bool) {
    let duration_ms = milliseconds(elapsed);
    if is_routine {
        tracing::debug!(target: "request", status_code, code, duration_ms, "request_completed");
    } else {
        tracing::info!(target: "request", status_code, code, duration_ms, "request_completed");
    }
}

/// Records how a request ended, by the names of OpenTelemetry. Fields that the span does not declare are ignored.
fn end_span(span: &Span, status: u16, problem: Option<&'static str>) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
        match problem {
            Some(code) => span.record("error.type", code),
            None => span.record("error.type", tracing::field::display(status)),
        };
    }
}

/// Logs a failure of the service with its causes, once. What the client got wrong is not logged.
pub(super) fn log_failure(problem: &Problem) {
    if !problem.kind().status.is_server_error() {
        return;
    }
    let code = problem.kind().code;
    let error = problem.cause_chain();
    tracing::error!(code, error, "request_failed");
}

/// Milliseconds with two decimals.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}
