//! What to log and trace, and where to send it: plain values that the service fills in.

use std::{io::IsTerminal, path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::DroppedSpans;

/// Which program this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// The name of its package.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The git revision it was built from, or `unknown`.
    pub revision: &'static str,
}

impl Build {
    /// The name as Rust writes it in module paths, where targets of log lines begin.
    #[must_use]
    pub fn crate_name(&self) -> String {
        self.name.replace('-', "_")
    }
}

/// The program that telemetry runs in.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Which program it is: attributes of its traces.
    pub build: Build,
    /// The crates whose spans are recorded inside a recorded trace, as module paths name them (`my_service`).
    ///
    /// A span belongs to the crate that its target begins with. Spans of crates that are not
    /// listed are not made, so a service lists itself and each crate that makes spans for it;
    /// one that is left out is missing from every trace, without an error.
    pub span_crates: &'static [&'static str],
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Coloured text for a terminal.
    Pretty,
    /// One JSON object a line.
    #[default]
    Json,
}

/// Which standard stream log lines go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output, for a service.
    Stdout,
    /// Standard error, for commands that print their result on standard output.
    Stderr,
}

/// Logs and traces.
#[derive(Debug, Clone)]
pub struct TelemetryOptions {
    /// `service` of log lines, `service.name` of traces.
    pub service_name: String,
    /// Which lines are written.
    pub log_level: Targets,
    /// How they are written; `None` decides by whether the stream is a terminal.
    pub log_format: Option<LogFormat>,
    /// The collector that spans are sent to; `None` sends none.
    pub otlp: Option<Otlp>,
    /// Whether finished spans are also written to standard error.
    pub trace_console: bool,
    /// Which new traces are recorded.
    pub sampler: Sampler,
    /// The route templates whose requests are never recorded.
    pub untraced: Vec<String>,
    /// Which headers carry the context of a trace from and to other services.
    pub propagators: Vec<Propagator>,
    /// How finished spans are gathered before they are sent.
    pub batches: Batches,
    /// Counts the spans that are lost. Register it where the other metrics are.
    pub dropped_spans: DroppedSpans,
    /// Attributes of this process (OpenTelemetry's resource). They win over those made here:
    /// `service.version`, `service.instance.id`, `vcs.ref.head.revision` and `process.pid`. `service.name`
    /// is always [`TelemetryOptions::service_name`].
    pub resource: Vec<(String, String)>,
}

impl TelemetryOptions {
    /// Lines from `info` on, no export of spans, and the defaults of the OpenTelemetry specification for the rest.
    #[must_use]
    pub fn new(service_name: impl Into<String>) -> Self {
        Self {
            service_name: service_name.into(),
            log_level: Targets::new().with_default(LevelFilter::INFO),
            log_format: None,
            otlp: None,
            trace_console: false,
            sampler: Sampler {
                parent_based: true,
                ratio: 1.0,
            },
            untraced: Vec::new(),
            propagators: vec![Propagator::TraceContext, Propagator::Baggage],
            batches: Batches {
                delay: Duration::from_secs(5),
                queue: 2048,
                size: 512,
            },
            dropped_spans: DroppedSpans::default(),
            resource: Vec::new(),
        }
    }

    /// The format for lines that go to `stream`.
    pub fn format_for(&self, stream: &impl IsTerminal) -> LogFormat {
        let by_reader = if stream.is_terminal() {
            LogFormat::Pretty
        } else {
            LogFormat::Json
        };
        self.log_format.unwrap_or(by_reader)
    }

    /// Whether finished spans go anywhere.
    #[must_use]
    pub fn exports(&self) -> bool {
        self.otlp.is_some() || self.trace_console
    }

    /// Whether any line is ever written.
    #[must_use]
    pub fn logs(&self) -> bool {
        self.log_level.iter().next().is_some()
            || self.log_level.default_level() != Some(LevelFilter::OFF)
    }
}

/// A format of headers that hand a context from one service to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagator {
    /// `traceparent` and `tracestate` (W3C Trace Context).
    TraceContext,
    /// `baggage` (W3C Baggage).
    Baggage,
}

/// The collector that spans are sent to, by OTLP over HTTP.
#[derive(Debug, Clone)]
pub struct Otlp {
    /// The full address of the traces endpoint, as in `http://localhost:4318/v1/traces`.
    pub endpoint: String,
    /// Sent with each export; the values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether exports are compressed.
    pub gzip: bool,
    /// How long one export may take.
    pub timeout: Duration,
    /// A PEM file with the certificates to trust instead of the system's.
    pub certificate: Option<PathBuf>,
}

/// How finished spans are gathered.
#[derive(Debug, Clone, Copy)]
pub struct Batches {
    /// The longest time a finished span waits before it is sent.
    pub delay: Duration,
    /// How many may wait; more are dropped.
    pub queue: usize,
    /// How many one export carries at most.
    pub size: usize,
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether the decision of a caller that sent a context is followed.
    pub parent_based: bool,
    /// The share of all other traces, 0 to 1.
    pub ratio: f64,
}
