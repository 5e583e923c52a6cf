//! The registry of metrics, and the families that every process has: build, process, tokio runtime.

use prometheus::{
    IntGaugeVec, Registry,
    core::{Collector, Desc},
    opts,
    process_collector::ProcessCollector,
    proto::MetricFamily,
};
use tokio::runtime::{Handle, RuntimeMetrics};

use super::Build;

/// Bounds of latency histograms, in seconds: from 1 ms to 10 s.
pub const LATENCY_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// A registry with `build_info`, the `process_*` families and, inside a tokio runtime, the `tokio_*` families.
///
/// # Panics
///
/// Never: the names are valid and a new registry has no family yet.
#[must_use]
pub fn new_registry(build: Build) -> Registry {
    let registry = Registry::new();
    let info = opts!("build_info", "Always 1; the labels tell what is running.");
    let info = register(&registry, IntGaugeVec::new(info, &["version", "revision"]));
    info.with_label_values(&[build.version, build.revision])
        .set(1);
    registry
        .register(Box::new(ProcessCollector::for_self()))
        .expect("a new registry has no such family");
    // A command that does not start a runtime has none to measure.
    if let Ok(handle) = Handle::try_current() {
        registry
            .register(Box::new(RuntimeCollector::new(handle.metrics())))
            .expect("a new registry has no such family");
    }
    registry
}

/// Registers a family of metrics and returns it.
///
/// # Panics
///
/// When the name is taken or invalid: a mistake in the program.
pub fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<C>,
) -> C {
    let family = family.expect("names, labels and buckets are written correctly");
    registry
        .register(Box::new(family.clone()))
        .expect("each family is registered once");
    family
}

/// The counters of a tokio runtime, read when metrics are collected.
struct RuntimeCollector {
    runtime: RuntimeMetrics,
    workers: prometheus::IntGauge,
    tasks: prometheus::IntGauge,
    queue: prometheus::IntGauge,
    busy: prometheus::CounterVec,
    parks: prometheus::IntCounterVec,
}

impl RuntimeCollector {
    fn new(runtime: RuntimeMetrics) -> Self {
        let gauge = |name: &str, help: &str| {
            prometheus::IntGauge::new(name, help).expect("names are written correctly")
        };
        let labels = &["worker"];
        let busy = opts!(
            "tokio_worker_busy_seconds_total",
            "Time each worker thread of the runtime spent working, in seconds."
        );
        let parks = opts!(
            "tokio_worker_parks_total",
            "Times each worker thread of the runtime had nothing to do."
        );
        Self {
            workers: gauge("tokio_workers", "Worker threads of the runtime."),
            tasks: gauge("tokio_alive_tasks", "Tasks that have not ended."),
            queue: gauge(
                "tokio_global_queue_depth",
                "Tasks that wait for any worker thread.",
            ),
            busy: prometheus::CounterVec::new(busy, labels).expect("names are written correctly"),
            parks: prometheus::IntCounterVec::new(parks, labels)
                .expect("names are written correctly"),
            runtime,
        }
    }

    fn parts(&self) -> [&dyn Collector; 5] {
        [
            &self.workers,
            &self.tasks,
            &self.queue,
            &self.busy,
            &self.parks,
        ]
    }

    fn observe(&self) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.workers.set(count(self.runtime.num_workers()));
        self.tasks.set(count(self.runtime.num_alive_tasks()));
        self.queue.set(count(self.runtime.global_queue_depth()));
        for worker in 0..self.runtime.num_workers() {
            let label = worker.to_string();
            let busy = self.runtime.worker_total_busy_duration(worker);
            let counter = self.busy.with_label_values(&[&label]);
            counter.inc_by((busy.as_secs_f64() - counter.get()).max(0.0));
            let counter = self.parks.with_label_values(&[&label]);
            let parks = self.runtime.worker_park_count(worker);
            counter.inc_by(parks.saturating_sub(counter.get()));
        }
    }
}

impl Collector for RuntimeCollector {
    fn desc(&self) -> Vec<&Desc> {
        let parts = self.parts();
        parts.into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.observe();
        let parts = self.parts();
        parts.into_iter().flat_map(Collector::collect).collect()
    }
}
