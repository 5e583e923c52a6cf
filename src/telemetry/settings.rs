//! What is logged and traced, and where it goes.

use std::io::IsTerminal;

use chassis_settings::{
    AppEnv, Declaration, Section, SettingError, Values, joined, list, one_of, optional, parse_with,
    settings, switch, text,
};
use http::Uri;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::standard::{self, Batches, Otlp, Sampler};

settings! {
    /// what the service calls itself in logs, traces and tokens
    pub SERVICE_NAME: String, text("a name");

    /// error, warn, info, debug, trace or off; per module as in info,hyper=debug
    LOG_LEVEL: Targets = "info", parse_with(
        parse_levels,
        "error, warn, info, debug, trace or off; per module as in info,hyper=debug",
    );

    /// pretty or json; unset: pretty in development on a terminal, else json
    LOG_FORMAT: Option<LogFormat>,
        optional(one_of(&[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)]));

    /// OTLP over HTTP, like http://localhost:4318; unset: spans are not exported
    OTLP_ENDPOINT: Option<Uri>, optional(standard::address());

    /// also write finished spans to standard error, for development
    TRACE_CONSOLE: bool = "off", switch();

    /// share of new traces that are recorded; a caller's decision is kept
    TRACE_SAMPLE_RATIO: f64 = "1.0", standard::ratio();

    /// route templates (comma-separated) whose requests are never traced; none: -
    TRACE_EXCLUDED_PATHS: Vec<String> = "/live,/ready,/health,/metrics", list(text("a path"));
}

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

impl Section for TelemetrySettings {
    const TITLE: &'static str = "Telemetry";
    const SETTINGS: &'static [Declaration] =
        &joined::<{ SETTINGS.len() + standard::SETTINGS.len() }>(SETTINGS, standard::SETTINGS);

    fn read(values: &Values) -> Result<Self, SettingError> {
        let app_env = values.app_env()?;
        let log_format = values.read(&LOG_FORMAT)?;
        let service_name = service_name(values)?;
        let untraced = values.read(&TRACE_EXCLUDED_PATHS)?;
        Ok(Self {
            resource: standard::resource(values, app_env, &service_name)?,
            service_name,
            log_level: values.read(&LOG_LEVEL)?,
            log_format: log_format.or((app_env != AppEnv::Development).then_some(LogFormat::Json)),
            otlp: standard::otlp(values, values.read(&OTLP_ENDPOINT)?)?,
            trace_console: values.read(&TRACE_CONSOLE)?
                || !values.is_given(&TRACE_CONSOLE) && standard::console(values)?,
            sampler: sampler(values)?,
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

/// `SERVICE_NAME` when it was given, else what the standard variables say, else the default.
fn service_name(values: &Values) -> Result<String, SettingError> {
    if !values.is_given(&SERVICE_NAME)
        && let Some(name) = standard::service_name(values)?
    {
        return Ok(name);
    }
    values.read(&SERVICE_NAME)
}

/// The same for `TRACE_SAMPLE_RATIO`. When it was given, the standard variables are not looked at: they may be meant for
/// another SDK, which knows more samplers.
fn sampler(values: &Values) -> Result<Sampler, SettingError> {
    if !values.is_given(&TRACE_SAMPLE_RATIO)
        && let Some(sampler) = standard::sampler(values)?
    {
        return Ok(sampler);
    }
    Ok(Sampler {
        parent_based: true,
        ratio: values.read(&TRACE_SAMPLE_RATIO)?,
    })
}

/// Levels, of which the first one is for everything.
///
/// A misspelt level would count as the name of a module, and everything else fall silent.
fn parse_levels(text: &str) -> Option<Targets> {
    let levels: Targets = text.parse().ok()?;
    levels.default_level().is_some().then_some(levels)
}
