//! Logs, traces and metrics: how an operator sees what the service does.
//!
//! Code says what happens with `tracing`; here it is decided where that goes.
//! Metrics live in a [`prometheus::Registry`] made once and handed to whoever counts
//! something; each module owns the families it feeds.

mod export;
mod logs;
mod outgoing;
mod registry;
mod settings;
mod spans;
mod standard;
mod writer;

use std::{error::Error, fmt, io, panic::PanicHookInfo, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Subscriber, subscriber::Interest};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, dynamic_filter_fn, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
};

use self::{export::InternalLogs, writer::LineThread};
pub use self::{
    logs::emergency_line,
    registry::{LATENCY_BUCKETS, new_registry, register},
    settings::{LogFormat, Propagator, TelemetrySettings},
    spans::{Incoming, Tracing, end_request_span, fail, note_caller},
    standard::{Batches, Otlp, Sampler},
};
use crate::clock::Clock;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git revision of this build, or `unknown`.
pub const REVISION: &str = env!("GIT_REVISION");

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
    _lines: LineThread,
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
    /// When the exporter or the thread that writes cannot be made, or telemetry was started before.
    pub fn start(
        settings: &TelemetrySettings,
        clock: Clock,
        stream: LogStream,
    ) -> anyhow::Result<Self> {
        let (format, writer, lines) = match stream {
            LogStream::Stdout => {
                let (writer, lines) = writer::start(io::stdout())?;
                (settings.format_for(&io::stdout()), writer, lines)
            }
            LogStream::Stderr => {
                let (writer, lines) = writer::start(io::stderr())?;
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
    let provider = export::provider(settings)?;
    let tracer = provider.tracer(env!("CARGO_CRATE_NAME"));
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        // Nobody here asks OpenTelemetry what is current: `tracing` knows.
        .with_context_activation(false)
        .with_target(false)
        .with_level(false)
        .with_filter(spans::Recorded {
            exports: settings.exports(),
        });
    let level = settings.log_level.clone();
    // The answer does not depend on when it is asked, so it is asked once for each place that logs.
    let wanted = filter_fn(move |metadata| {
        if metadata.is_span() {
            return logs::is_carried(metadata);
        }
        level.would_enable(metadata.target(), metadata.level())
            && (!InternalLogs::are(metadata) || InternalLogs::are_wanted(metadata))
    });
    let internal = InternalLogs::default();
    let sparing = dynamic_filter_fn(move |metadata, _| {
        !InternalLogs::are(metadata) || internal.are_due(metadata)
    })
    .with_callsite_filter(|metadata| {
        if InternalLogs::are(metadata) {
            Interest::sometimes()
        } else {
            Interest::always()
        }
    });
    let lines = logs::Lines::new(format, &settings.service_name, clock, writer)
        .with_filter(wanted.and(sparing));
    Ok((
        tracing_subscriber::registry().with(spans).with(lines),
        provider,
    ))
}

/// An error with everything that caused it, on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
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

#[cfg(test)]
mod tests {
    use tracing::{info_span, subscriber::with_default};

    use super::*;
    use crate::config::{Section, Values};

    #[test]
    fn without_somewhere_to_send_spans_only_those_that_lines_carry_are_made() {
        let values = Values::from_pairs::<&str, &str>([]).unwrap();
        let settings = TelemetrySettings::read(&values).unwrap();
        let parts = subscriber(&settings, Clock::system(), LogFormat::Json, io::sink).unwrap();

        with_default(parts.0, || {
            let request = info_span!("request", correlation_id = "a");
            assert!(!request.is_disabled());
            let _entered = request.enter();
            assert!(info_span!("sql", otel.name = "find").is_disabled());
        });
    }
}
