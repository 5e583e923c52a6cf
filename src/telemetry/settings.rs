//! What is logged and traced, and where it goes.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;

use crate::config::{AppEnv, Section, Setting, SettingError, Values};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person at a terminal.
    Pretty,
    /// One JSON object a line.
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
    /// Where spans are sent: the full address of the traces endpoint.
    pub otlp_endpoint: Option<String>,
    /// Whether spans are also shown on standard error.
    pub trace_console: bool,
    /// Share of new traces that are recorded, from 0 to 1.
    pub trace_sample_ratio: f64,
}

impl Section for TelemetrySettings {
    const SETTINGS: &'static [Setting] = &[
        Setting::new(
            "SERVICE_NAME",
            env!("CARGO_PKG_NAME"),
            "what the service calls itself in logs, traces and tokens",
        ),
        Setting::new(
            "LOG_LEVEL",
            "info",
            "error, warn, info, debug or trace; per module as in info,hyper=debug",
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
    ];

    fn read(values: &Values) -> Result<Self, SettingError> {
        let format = values.text("LOG_FORMAT");
        let log_format = match format.as_deref() {
            None => None,
            Some("pretty") => Some(LogFormat::Pretty),
            Some("json") => Some(LogFormat::Json),
            Some(_) => return Err(values.unusable("LOG_FORMAT", "pretty or json")),
        };
        let ratio: f64 = values.get("TRACE_SAMPLE_RATIO", "a number from 0 to 1")?;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(values.unusable("TRACE_SAMPLE_RATIO", "a number from 0 to 1"));
        }
        Ok(Self {
            service_name: values.get("SERVICE_NAME", "a name")?,
            log_level: log_level(values)?,
            log_format: log_format
                .or((values.app_env()? != AppEnv::Development).then_some(LogFormat::Json)),
            otlp_endpoint: otlp_endpoint(values)?,
            trace_console: values.switch("TRACE_CONSOLE")?,
            trace_sample_ratio: ratio,
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

/// The address of the traces endpoint: given whole, or as the base it hangs from.
fn otlp_endpoint(values: &Values) -> Result<Option<String>, SettingError> {
    let expected = "an address like http://localhost:4318";
    let Some(uri) = values.optional::<http::Uri>("OTLP_ENDPOINT", expected)? else {
        return Ok(None);
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return Err(values.unusable("OTLP_ENDPOINT", expected));
    }
    let address = uri.to_string();
    let base = address.trim_end_matches('/');
    if base.ends_with("/v1/traces") {
        return Ok(Some(base.to_owned()));
    }
    Ok(Some(format!("{base}/v1/traces")))
}
