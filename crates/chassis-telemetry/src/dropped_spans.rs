//! Which finished spans never reach the collector, counted.
//!
//! The SDK's batch processor drops what does not fit into its queue, and says so once. [`Bounded`] stands before it with a
//! bound of the same size and counts what it drops, so that the queue behind it never overflows. What a failed export
//! loses is counted where it fails.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use prometheus::{IntCounter, IntCounterVec, Registry, opts};

use crate::internal_logs::is_due;

/// Counts lost spans (`spans_dropped_total`, by reason); clones share the counters.
#[derive(Debug, Clone)]
pub struct DroppedSpans(IntCounterVec);

impl Default for DroppedSpans {
    fn default() -> Self {
        let family = opts!(
            "spans_dropped_total",
            "Finished spans that did not reach the collector: queue_full, or export_failed."
        );
        let family = IntCounterVec::new(family, &["reason"]).expect("names are written correctly");
        // The series exist from the start, so that the first loss shows as an increase.
        for reason in [QUEUE_FULL, EXPORT_FAILED] {
            let _ = family.with_label_values(&[reason]);
        }
        Self(family)
    }
}

const QUEUE_FULL: &str = "queue_full";
const EXPORT_FAILED: &str = "export_failed";

impl DroppedSpans {
    /// Adds the counter to a registry.
    ///
    /// # Panics
    ///
    /// When the registry has a metric of this name already.
    pub fn register(&self, registry: &Registry) {
        registry
            .register(Box::new(self.0.clone()))
            .expect("each family is registered once");
    }

    pub(crate) fn failed(&self, spans: u64) {
        self.0.with_label_values(&[EXPORT_FAILED]).inc_by(spans);
    }
}

/// How many finished spans wait for their export.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    /// These are no longer waiting: their export begins.
    pub(crate) fn leave(&self, spans: usize) {
        self.0.fetch_sub(spans, Ordering::Relaxed);
    }

    /// Whether there was room for another.
    fn enter(&self, most: usize) -> bool {
        let had_room = self.0.fetch_add(1, Ordering::Relaxed) < most;
        if !had_room {
            self.leave(1);
        }
        had_room
    }
}

/// Passes on so many spans as may wait, drops the others, and counts them.
#[derive(Debug)]
pub(crate) struct Bounded<P> {
    next: P,
    waiting: Waiting,
    most: usize,
    dropped: IntCounter,
    unreported: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl<P> Bounded<P> {
    pub(crate) fn new(next: P, waiting: Waiting, most: usize, dropped: &DroppedSpans) -> Self {
        Self {
            next,
            waiting,
            most,
            dropped: dropped.0.with_label_values(&[QUEUE_FULL]),
            unreported: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }

    /// Logs dropped spans, at most once a minute, with their number since the last such line.
    fn report(&self) {
        self.dropped.inc();
        self.unreported.fetch_add(1, Ordering::Relaxed);
        if is_due(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner)) {
            let spans = self.unreported.swap(0, Ordering::Relaxed);
            tracing::warn!(spans, "trace_queue_full");
        }
    }
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.enter(self.most) {
            self.next.on_end(span);
        } else {
            self.report();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}
