//! The metrics of mail.

use std::time::Duration;

use chassis_telemetry::register;
use prometheus::{Histogram, IntCounterVec, Registry, histogram_opts, opts};

use super::Template;

/// Bounds of the histogram, in seconds.
const BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// How an attempt to send ended: the label `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server took the message, or the folder has it.
    Sent,
    /// It failed, and another attempt may succeed.
    Failed,
    /// It failed for good.
    Refused,
}

impl Outcome {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// The metrics of mail.
#[derive(Debug, Clone)]
pub(super) struct MailMetrics {
    attempts: IntCounterVec,
    duration: Histogram,
}

impl MailMetrics {
    /// Registers them, with each series that an alert watches, so that the first failure is seen as an increase.
    pub(super) fn new(registry: &Registry, templates: &[&Template]) -> Self {
        let attempts = opts!(
            "mail_total",
            "Attempts to send a message: sent, failed (another attempt may succeed), or refused for good."
        );
        let duration = histogram_opts!(
            "mail_send_seconds",
            "Time an attempt to send a message took, in seconds.",
            BUCKETS.to_vec()
        );
        let metrics = Self {
            attempts: register(
                registry,
                IntCounterVec::new(attempts, &["template", "outcome"]),
            ),
            duration: register(registry, Histogram::with_opts(duration)),
        };
        for template in templates {
            for outcome in [Outcome::Sent, Outcome::Failed, Outcome::Refused] {
                let labels = [template.name, outcome.as_str()];
                let _ = metrics.attempts.with_label_values(&labels);
            }
        }
        metrics
    }

    pub(super) fn ended(&self, template: &Template, outcome: Outcome, duration: Duration) {
        let labels = [template.name, outcome.as_str()];
        self.attempts.with_label_values(&labels).inc();
        self.duration.observe(duration.as_secs_f64());
    }
}
