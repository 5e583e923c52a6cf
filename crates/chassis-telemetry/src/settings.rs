//! What is logged and traced, and where it goes.

use chassis_settings::{
    AppEnv, Declaration, Section, SettingError, Values, joined, list, one_of, optional, parse_with,
    settings, switch, text,
};
use http::Uri;
use tracing_subscriber::filter::Targets;

use super::{
    DroppedSpans,
    options::{LogFormat, Sampler, TelemetryOptions},
    otel_env,
};

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
    OTLP_ENDPOINT: Option<Uri>, optional(otel_env::address());

    /// also write finished spans to standard error, for development
    TRACE_CONSOLE: bool = "off", switch();

    /// share of new traces that are recorded; a caller's decision is kept
    TRACE_SAMPLE_RATIO: f64 = "1.0", otel_env::ratio();

    /// route templates (comma-separated) whose requests are never traced; none: -
    TRACE_EXCLUDED_PATHS: Vec<String> = "/live,/ready,/health,/metrics", list(text("a path"));
}

impl Section for TelemetryOptions {
    const TITLE: &'static str = "Telemetry";
    const SETTINGS: &'static [Declaration] =
        &joined::<{ SETTINGS.len() + otel_env::SETTINGS.len() }>(SETTINGS, otel_env::SETTINGS);

    fn read(values: &Values) -> Result<Self, SettingError> {
        let app_env = values.app_env()?;
        let log_format = values.read(&LOG_FORMAT)?;
        let service_name = service_name(values)?;
        let untraced = values.read(&TRACE_EXCLUDED_PATHS)?;
        Ok(Self {
            service_name,
            resource: otel_env::resource(values, app_env)?,
            log_level: values.read(&LOG_LEVEL)?,
            log_format: log_format.or((app_env != AppEnv::Development).then_some(LogFormat::Json)),
            otlp: otel_env::otlp(values, values.read(&OTLP_ENDPOINT)?)?,
            trace_console: values.read(&TRACE_CONSOLE)?
                || !values.is_given(&TRACE_CONSOLE) && otel_env::console(values)?,
            sampler: sampler(values)?,
            untraced: untraced.into_iter().filter(|path| path != "-").collect(),
            propagators: otel_env::propagators(values)?,
            batches: otel_env::batches(values)?,
            dropped_spans: DroppedSpans::default(),
        })
    }
}

/// `SERVICE_NAME` when it was given, else what the standard variables say, else the default.
fn service_name(values: &Values) -> Result<String, SettingError> {
    if !values.is_given(&SERVICE_NAME)
        && let Some(name) = otel_env::service_name(values)?
    {
        return Ok(name);
    }
    values.read(&SERVICE_NAME)
}

/// The same for `TRACE_SAMPLE_RATIO`. When it was given, the standard variables are not looked at: they may be meant for
/// another SDK, which knows more samplers.
fn sampler(values: &Values) -> Result<Sampler, SettingError> {
    if !values.is_given(&TRACE_SAMPLE_RATIO)
        && let Some(sampler) = otel_env::sampler(values)?
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
