//! What is logged and traced, and where it goes.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::standard::{self, Batches, Otlp, Sampler};
use crate::config::{AppEnv, Section, Setting, SettingError, Values};

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person at a terminal.
    Pretty,
    /// One JSON object a line.
    #[default]
    Json,
}

/// Logs and traces.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// What the service calls itself.
    pub service_name: String,
    /// Which lines are written.
    pub log_level: Targets,
    /// How they look; `None` leaves it to whether a terminal reads them.
    pub log_format: Option<LogFormat>,
    /// Where and how spans are sent, when they are.
    pub otlp: Option<Otlp>,
    /// Whether spans are also shown on standard error.
    pub trace_console: bool,
    /// Which new traces are recorded.
    pub sampler: Sampler,
    /// The route templates whose requests are never recorded.
    pub untraced: Vec<String>,
    /// What is understood of callers, and told to who is called.
    pub propagators: Vec<Propagator>,
    /// How spans are gathered before they are sent.
    pub batches: Batches,
    /// What is said about this process beside its spans.
    pub resource: Vec<(String, String)>,
}

/// A way to hand a context from one service to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagator {
    /// `traceparent` and `tracestate` (W3C Trace Context).
    TraceContext,
    /// `baggage` (W3C Baggage).
    Baggage,
}

/// Our own; the standard ones follow them in [`Section::SETTINGS`].
const OWN: [Setting; 7] = [
    Setting::new(
        "SERVICE_NAME",
        env!("CARGO_PKG_NAME"),
        "what the service calls itself in logs, traces and tokens",
    ),
    Setting::new(
        "LOG_LEVEL",
        "info",
        "error, warn, info, debug, trace or off; per module as in info,hyper=debug",
    ),
    Setting::new(
        "LOG_FORMAT",
        "",
        "pretty or json; unset: pretty in development on a terminal, else json",
    ),
    Setting::new(
        "OTLP_ENDPOINT",
        "",
        "OTLP over HTTP, like http://localhost:4318; unset: spans are not exported",
    ),
    Setting::new(
        "TRACE_CONSOLE",
        "off",
        "also write finished spans to standard error, for development",
    ),
    Setting::new(
        "TRACE_SAMPLE_RATIO",
        "1.0",
        "share of new traces that are recorded; a caller's decision is kept",
    ),
    Setting::new(
        "TRACE_EXCLUDED_PATHS",
        "/live,/ready,/health,/metrics",
        "route templates (comma-separated) whose requests are never traced; none: -",
    ),
];

impl Section for TelemetrySettings {
    const SETTINGS: &'static [Setting] = &{
        let mut all = [OWN[0]; OWN.len() + standard::SETTINGS.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = if at < OWN.len() {
                OWN[at]
            } else {
                standard::SETTINGS[at - OWN.len()]
            };
            at += 1;
        }
        all
    };

    fn read(values: &Values) -> Result<Self, SettingError> {
        let format = values.text("LOG_FORMAT");
        let log_format = match format.as_deref() {
            None => None,
            Some("pretty") => Some(LogFormat::Pretty),
            Some("json") => Some(LogFormat::Json),
            Some(_) => return Err(values.unusable("LOG_FORMAT", "pretty or json")),
        };
        let service_name = standard::service_name(values)?;
        let untraced = values.list("TRACE_EXCLUDED_PATHS");
        Ok(Self {
            resource: standard::resource(values, &service_name)?,
            service_name,
            log_level: log_level(values)?,
            log_format: log_format
                .or((values.app_env()? != AppEnv::Development).then_some(LogFormat::Json)),
            otlp: standard::otlp(values)?,
            trace_console: standard::console(values)?,
            sampler: standard::sampler(values)?,
            untraced: untraced.into_iter().filter(|path| path != "-").collect(),
            propagators: standard::propagators(values)?,
            batches: standard::batches(values)?,
        })
    }
}

impl TelemetrySettings {
    /// The format for lines that go to `stream`.
    pub fn format_for(&self, stream: &impl IsTerminal) -> LogFormat {
        let by_reader = if stream.is_terminal() {
            LogFormat::Pretty
        } else {
            LogFormat::Json
        };
        self.log_format.unwrap_or(by_reader)
    }

    /// Whether there is anywhere for spans to go.
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

/// Levels, of which the first one is for everything.
///
/// A misspelt level would count as the name of a module, and everything else fall silent.
fn log_level(values: &Values) -> Result<Targets, SettingError> {
    let expected = "error, warn, info, debug, trace or off; per module as in info,hyper=debug";
    let levels: Targets = values.get("LOG_LEVEL", expected)?;
    if levels.default_level().is_none() {
        return Err(values.unusable("LOG_LEVEL", expected));
    }
    Ok(levels)
}
