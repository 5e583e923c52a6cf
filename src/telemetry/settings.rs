//! What is logged and traced, and where it goes.

use tracing_subscriber::filter::Targets;

use super::{LogFormat, TelemetrySettings, otel_env};
use crate::config::{AppEnv, Section, Setting, SettingError, Values};

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
        let mut all = [OWN[0]; OWN.len() + otel_env::SETTINGS.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = if at < OWN.len() {
                OWN[at]
            } else {
                otel_env::SETTINGS[at - OWN.len()]
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
        let service_name = otel_env::service_name(values)?;
        let untraced = values.list("TRACE_EXCLUDED_PATHS");
        Ok(Self {
            resource: otel_env::resource(values)?,
            service_name,
            log_level: log_level(values)?,
            log_format: log_format
                .or((values.app_env()? != AppEnv::Development).then_some(LogFormat::Json)),
            otlp: otel_env::otlp(values)?,
            trace_console: otel_env::console(values)?,
            sampler: otel_env::sampler(values)?,
            untraced: untraced.into_iter().filter(|path| path != "-").collect(),
            propagators: otel_env::propagators(values)?,
            batches: otel_env::batches(values)?,
        })
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
