// The page is read where documentation is made, so that an edit to it compiles nothing.
#![cfg_attr(any(doc, doctest), doc = include_str!("../README.md"))]
#![cfg_attr(not(any(doc, doctest)), doc = "README.md says what this is for.")]

mod attributes;
mod dropped_spans;
mod error;
mod export;
mod http_client;
mod internal_logs;
mod line;
mod logs;
mod metrics;
mod options;
mod origin;
#[cfg(feature = "settings")]
mod otel_env;
mod panics;
mod recorded;
#[cfg(feature = "settings")]
mod settings;
mod spans;
mod writer;

use std::{fmt, io, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use time::OffsetDateTime;
use tracing::{Level, Metadata, Subscriber, subscriber::Interest};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, dynamic_filter_fn, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
};

use self::internal_logs::InternalLogs;
#[cfg(feature = "settings")]
pub use self::settings::SERVICE_NAME;
pub use self::{
    dropped_spans::DroppedSpans,
    error::{TelemetryError, chain},
    logs::emergency_line,
    metrics::{LATENCY_BUCKETS, new_registry, register},
    options::{
        Batches, Build, LogFormat, LogStream, Otlp, Program, Propagator, Sampler, TelemetryOptions,
    },
    origin::Origin,
    panics::{log_panics, log_panics_beside},
    spans::{Incoming, Tracing, end_request_span, fail, record_user},
    writer::{LogWriter, WriterThread, writer_thread},
};

/// Keeps logs and traces running; dropping it writes the lines that wait and ends both.
pub struct Telemetry {
    provider: SdkTracerProvider,
    // Declared last, so dropped last: the shutdown of traces may log.
    _writer: WriterThread,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

impl Telemetry {
    /// Starts logs and traces for the whole process. `now` is asked for the time of each line.
    ///
    /// # Errors
    ///
    /// When the exporter or the thread that writes lines cannot be started, or telemetry was started before.
    ///
    /// # Panics
    ///
    /// When `options.otlp` is set and no tokio runtime is running: the exporter sends on it.
    pub fn start(
        program: Program,
        options: &TelemetryOptions,
        now: impl Fn() -> OffsetDateTime + Send + Sync + 'static,
        stream: LogStream,
    ) -> Result<Self, TelemetryError> {
        let (format, (writer, thread)) = match stream {
            LogStream::Stdout => (
                options.format_for(&io::stdout()),
                writer::start(io::stdout(), Some(program.build.name))
                    .map_err(TelemetryError::Thread)?,
            ),
            LogStream::Stderr => (
                options.format_for(&io::stderr()),
                writer::start(io::stderr(), Some(program.build.name))
                    .map_err(TelemetryError::Thread)?,
            ),
        };
        let (subscriber, provider) = subscriber(program, options, now, format, writer)?;
        tracing::subscriber::set_global_default(subscriber)
            .map_err(TelemetryError::AlreadyStarted)?;
        Ok(Self {
            provider,
            _writer: thread,
        })
    }

    /// Sends the last spans, for at most `within`, and writes the last lines.
    ///
    /// Spans that cannot be sent in time are lost, which is logged as `trace_shutdown_failed`.
    /// This blocks, and the exporter needs the runtime meanwhile: call it from a thread that
    /// may block (`tokio::task::spawn_blocking`).
    pub fn shutdown(self, within: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(within) {
            tracing::warn!(%error, "trace_shutdown_failed");
        }
    }
}

/// The subscriber that [`Telemetry::start`] installs, for a writer of the caller's; with what its spans are exported by.
///
/// Spans are exported until the returned provider is dropped or shut down.
///
/// # Errors
///
/// When the exporter cannot be built.
///
/// # Panics
///
/// As [`Telemetry::start`].
pub fn subscriber<W>(
    program: Program,
    options: &TelemetryOptions,
    now: impl Fn() -> OffsetDateTime + Send + Sync + 'static,
    format: LogFormat,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync, SdkTracerProvider), TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let provider = export::provider(program.build, options)?;
    let tracer = provider.tracer(program.build.crate_name());
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        // `tracing` knows the current span; a second stack in OpenTelemetry's context would only cost time.
        .with_context_activation(false)
        .with_target(false)
        .with_level(false)
        .with_filter(recorded::Recorded::new(options, program.span_crates));
    let level = options.log_level.clone();
    // Depends on the callsite alone, so tracing caches the answer.
    let wanted = filter_fn(move |metadata| {
        if metadata.is_span() {
            return logs::adds_fields(metadata);
        }
        level.would_enable(metadata.target(), metadata.level())
            && !quotes_requests(metadata)
            && (!InternalLogs::are(metadata) || InternalLogs::are_wanted(metadata))
    });
    // Depends on the time: asked for each event of the OpenTelemetry crates, and for no other.
    let internal = InternalLogs::default();
    let not_repeated = dynamic_filter_fn(move |metadata, _| {
        !InternalLogs::are(metadata) || internal.are_due(metadata)
    })
    .with_callsite_filter(|metadata| {
        if InternalLogs::are(metadata) {
            Interest::sometimes()
        } else {
            Interest::always()
        }
    });
    let lines = logs::LogLayer::new(format, &options.service_name, now, writer)
        .with_filter(wanted.and(not_repeated));
    Ok((
        tracing_subscriber::registry().with(spans).with(lines),
        provider,
    ))
}

/// Below INFO the crate h2 quotes the paths of malformed requests, which no line may have.
fn quotes_requests(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    (target == "h2" || target.starts_with("h2::")) && *metadata.level() > Level::INFO
}

#[cfg(test)]
mod tests {
    use tracing::{info_span, subscriber::with_default};

    use super::*;

    pub(crate) const BUILD: Build = Build {
        name: "note-taker",
        version: "1.2.3",
        revision: "abc",
    };

    pub(crate) const PROGRAM: Program = Program {
        build: BUILD,
        span_crates: &["note_taker"],
    };

    pub(crate) fn options() -> TelemetryOptions {
        TelemetryOptions::new("notes")
    }

    pub(crate) fn now() -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
    }

    #[test]
    fn without_an_exporter_only_spans_with_fields_for_lines_are_made() {
        let parts = subscriber(PROGRAM, &options(), now, LogFormat::Json, io::sink).unwrap();

        with_default(parts.0, || {
            let request = info_span!("request", correlation_id = "a");
            assert!(!request.is_disabled());
            let _entered = request.enter();
            assert!(info_span!("sql", otel.name = "find").is_disabled());
        });
    }

    #[test]
    fn at_no_level_are_paths_of_malformed_requests_quoted() {
        let mut options = options();
        options.log_level = options.log_level.with_default(Level::TRACE);
        let parts = subscriber(PROGRAM, &options, now, LogFormat::Json, io::sink).unwrap();

        with_default(parts.0, || {
            assert!(!tracing::enabled!(target: "h2::server", Level::DEBUG));
            assert!(tracing::enabled!(target: "h2::server", Level::INFO));
            assert!(tracing::enabled!(target: "h2_of_ours", Level::DEBUG));
        });
    }
}
