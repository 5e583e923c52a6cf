//! Logs, traces and metrics: how an operator sees what the service does.
//!
//! Code says what happens with `tracing`; here it is decided where that goes.
//! Metrics live in a [`Registry`] made once and handed to whoever counts
//! something; each module owns the families it feeds.

mod logs;
mod settings;
mod traces;

use std::{fmt, io, panic::PanicHookInfo, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::{
    IntGaugeVec, Registry, core::Collector, opts, process_collector::ProcessCollector,
};
use tracing::{Metadata, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{Layer, filter::filter_fn, fmt::MakeWriter, layer::SubscriberExt};

pub use self::{
    logs::emergency_line,
    settings::{LogFormat, TelemetrySettings},
    traces::{end_request_span, request_span},
};
use crate::clock::Clock;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git revision of this build, or `unknown`.
pub const REVISION: &str = env!("GIT_REVISION");

/// Bounds of latency histograms, in seconds: from 1 ms to 10 s.
pub const LATENCY_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Which standard stream log lines go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// The service's own output.
    Stdout,
    /// For commands, whose output is their answer.
    Stderr,
}

/// Keeps logs and traces flowing; without it both stop.
pub struct Telemetry {
    provider: SdkTracerProvider,
    // Dropped last: the shutdown of traces may still have something to say.
    _lines: WorkerGuard,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

impl Telemetry {
    /// Starts logs and traces for the whole process.
    ///
    /// # Errors
    ///
    /// When the exporter cannot be built, or telemetry was started before.
    pub fn start(
        settings: &TelemetrySettings,
        clock: Clock,
        stream: LogStream,
    ) -> anyhow::Result<Self> {
        let (format, writer, lines) = match stream {
            LogStream::Stdout => {
                let (writer, lines) = in_background(io::stdout());
                (settings.format_for(&io::stdout()), writer, lines)
            }
            LogStream::Stderr => {
                let (writer, lines) = in_background(io::stderr());
                (settings.format_for(&io::stderr()), writer, lines)
            }
        };
        let (subscriber, provider) = subscriber(settings, clock, format, writer)?;
        tracing::subscriber::set_global_default(subscriber)?;
        Ok(Self {
            provider,
            _lines: lines,
        })
    }

    /// Sends the last spans and writes the last lines. What cannot be sent in time is lost, and said to be.
    pub fn shutdown(self, within: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(within) {
            tracing::warn!(%error, "trace_shutdown_failed");
        }
    }
}

/// What turns spans into traces and events into lines that go to this writer.
///
/// # Errors
///
/// When the exporter cannot be built.
pub fn subscriber<W>(
    settings: &TelemetrySettings,
    clock: Clock,
    format: LogFormat,
    writer: W,
) -> anyhow::Result<(impl Subscriber + Send + Sync, SdkTracerProvider)>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let provider = traces::provider(settings)?;
    let tracer = provider.tracer(env!("CARGO_CRATE_NAME"));
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_level(false)
        .with_filter(filter_fn(is_our_span));
    let wanted = settings.log_level.clone();
    let wanted = filter_fn(move |metadata| {
        is_our_span(metadata)
            || metadata.is_event() && wanted.would_enable(metadata.target(), metadata.level())
    });
    let lines = logs::Lines::new(format, &settings.service_name, clock, writer).with_filter(wanted);
    Ok((
        tracing_subscriber::registry().with(spans).with(lines),
        provider,
    ))
}

/// Every span of ours, whatever the log level: without them lines lose their correlation id.
fn is_our_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
}

/// Lines are handed to a thread, which waits when the reader is slow; none is dropped.
fn in_background(stream: impl io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(false).finish(stream)
}

/// Makes a panic a log line, with the fields of the span it happens in, and nothing else.
pub fn log_panics() {
    log_panics_beside(Box::new(|_| {}));
}

/// Makes a panic a log line, and then lets another hook have it.
pub fn log_panics_beside(other: Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>) {
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic
            .payload_as_str()
            .unwrap_or("something that is not text");
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(target: "panic", location, panic = message, "panicked");
        other(panic);
    }));
}

/// A registry with what every process has.
///
/// # Panics
///
/// Never: a new registry refuses nothing.
#[must_use]
pub fn new_registry() -> Registry {
    let registry = Registry::new();
    let build = opts!("build_info", "Always 1; the labels tell what is running.");
    let build = register(&registry, IntGaugeVec::new(build, &["version", "revision"]));
    build.with_label_values(&[VERSION, REVISION]).set(1);
    registry
        .register(Box::new(ProcessCollector::for_self()))
        .expect("a new registry refuses nothing");
    registry
}

/// Registers a family of metrics and hands it back.
///
/// # Panics
///
/// When its name is taken or not a name: a mistake in the program.
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
