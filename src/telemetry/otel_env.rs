//! The variables that OpenTelemetry gives every service, read like any other setting.
//!
//! Where one of ours says the same, ours wins when it was given; so
//! `SERVICE_NAME` beats `OTEL_SERVICE_NAME`, which beats the default. The SDK
//! reads some of these from the environment by itself; it is told the same
//! values here, which may also come from `.env` or the file.
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::{path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;

use super::{Batches, Otlp, Propagator, Sampler};
use crate::config::{Setting, SettingError, Values};

/// The standard ones that mean something to this service.
pub(super) const SETTINGS: [Setting; 21] = [
    Setting::new(
        "OTEL_SDK_DISABLED",
        "false",
        "true: no spans are exported, unless OTLP_ENDPOINT asks for them",
    ),
    Setting::new(
        "OTEL_SERVICE_NAME",
        "",
        "as SERVICE_NAME, which wins; tokens keep theirs",
    ),
    Setting::new(
        "OTEL_RESOURCE_ATTRIBUTES",
        "",
        "what traces say about this process: key=value, comma-separated, percent-encoded",
    ),
    Setting::new(
        "OTEL_PROPAGATORS",
        "tracecontext,baggage",
        "which headers carry the context: tracecontext, baggage, none",
    ),
    Setting::new(
        "OTEL_TRACES_EXPORTER",
        "otlp",
        "otlp, console or none; OTLP_ENDPOINT and TRACE_CONSOLE win",
    ),
    Setting::new(
        "OTEL_TRACES_SAMPLER",
        "",
        "always_on, always_off, traceidratio, or one of them with parentbased_ in front; TRACE_SAMPLE_RATIO wins",
    ),
    Setting::new(
        "OTEL_TRACES_SAMPLER_ARG",
        "",
        "the ratio for traceidratio, 0 to 1",
    ),
    Setting::new(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "base address, as OTLP_ENDPOINT, which wins",
    ),
    Setting::new(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "",
        "the whole address for traces, taken as it is",
    ),
    Setting::new(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "",
        "sent with each export: key=value, comma-separated, percent-encoded",
    )
    .secret(),
    Setting::new(
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "",
        "the same for traces only, instead",
    )
    .secret(),
    Setting::new(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/protobuf",
        "http/protobuf is the one there is",
    ),
    Setting::new(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "",
        "the same for traces only",
    ),
    Setting::new("OTEL_EXPORTER_OTLP_COMPRESSION", "none", "none or gzip"),
    Setting::new(
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        "",
        "the same for traces only",
    ),
    Setting::new(
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "10000",
        "how long one export may take, in milliseconds",
    ),
    Setting::new(
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "",
        "the same for traces only",
    ),
    Setting::new(
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "",
        "PEM file with the certificates to trust; unset: the system's",
    ),
    Setting::new(
        "OTEL_BSP_SCHEDULE_DELAY",
        "5000",
        "how long finished spans wait for company, in milliseconds",
    ),
    Setting::new(
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "8192",
        "how many finished spans may wait; more are dropped, and said to be",
    ),
    Setting::new(
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "512",
        "how many spans one export carries at most",
    ),
];

/// Whether somebody gave this setting a value.
fn is_given(values: &Values, name: &str) -> bool {
    !values.origin(name).starts_with("default")
}

/// The first of these that has a value, with its name.
fn first_of<'a>(values: &Values, names: &[&'a str]) -> Option<(&'a str, String)> {
    let mut names = names.iter();
    names.find_map(|name| Some((*name, values.text(name)?)))
}

pub(super) fn service_name(values: &Values) -> Result<String, SettingError> {
    if is_given(values, "SERVICE_NAME") {
        return values.get("SERVICE_NAME", "a name");
    }
    if let Some(name) = values.text("OTEL_SERVICE_NAME") {
        return Ok(name);
    }
    let mut attributes = pairs(values, "OTEL_RESOURCE_ATTRIBUTES")?.into_iter();
    match attributes.find(|(name, _)| name == "service.name") {
        Some((_, name)) => Ok(name),
        None => values.get("SERVICE_NAME", "a name"),
    }
}

/// Attributes of this process: `OTEL_RESOURCE_ATTRIBUTES`, and the environment unless they name it.
pub(super) fn resource(values: &Values) -> Result<Vec<(String, String)>, SettingError> {
    let name = "deployment.environment.name";
    let mut given = pairs(values, "OTEL_RESOURCE_ATTRIBUTES")?;
    if given.iter().all(|(given, _)| given != name) {
        let environment = values.text("APP_ENV").unwrap_or_default();
        given.push((name.to_owned(), environment));
    }
    Ok(given)
}

pub(super) fn propagators(values: &Values) -> Result<Vec<Propagator>, SettingError> {
    let name = "OTEL_PROPAGATORS";
    let mut found = Vec::new();
    for item in values.list(name) {
        match item.as_str() {
            "tracecontext" => found.push(Propagator::TraceContext),
            "baggage" => found.push(Propagator::Baggage),
            "none" => {}
            _ => return Err(values.unusable(name, "tracecontext, baggage or none")),
        }
    }
    Ok(found)
}

pub(super) fn sampler(values: &Values) -> Result<Sampler, SettingError> {
    let kind = values.text("OTEL_TRACES_SAMPLER");
    let Some(kind) = kind.filter(|_| !is_given(values, "TRACE_SAMPLE_RATIO")) else {
        return Ok(Sampler {
            parent_based: true,
            ratio: ratio(values, "TRACE_SAMPLE_RATIO")?,
        });
    };
    let parent_based = kind.starts_with("parentbased_");
    let ratio = match kind.trim_start_matches("parentbased_") {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" if values.text("OTEL_TRACES_SAMPLER_ARG").is_none() => 1.0,
        "traceidratio" => ratio(values, "OTEL_TRACES_SAMPLER_ARG")?,
        _ => {
            let expected = "always_on, always_off or traceidratio, or parentbased_ and one of them";
            return Err(values.unusable("OTEL_TRACES_SAMPLER", expected));
        }
    };
    Ok(Sampler {
        parent_based,
        ratio,
    })
}

fn ratio(values: &Values, name: &str) -> Result<f64, SettingError> {
    let expected = "a number from 0 to 1";
    let ratio: f64 = values.get(name, expected)?;
    if (0.0..=1.0).contains(&ratio) {
        return Ok(ratio);
    }
    Err(values.unusable(name, expected))
}

/// Which exporter the standard variables ask for.
fn exporter(values: &Values) -> Result<&'static str, SettingError> {
    if values.switch("OTEL_SDK_DISABLED")? {
        return Ok("none");
    }
    let name = "OTEL_TRACES_EXPORTER";
    match values.text(name).as_deref() {
        None | Some("otlp") => Ok("otlp"),
        Some("console") => Ok("console"),
        Some("none") => Ok("none"),
        Some(_) => Err(values.unusable(name, "otlp, console or none")),
    }
}

pub(super) fn console(values: &Values) -> Result<bool, SettingError> {
    let ours = values.switch("TRACE_CONSOLE")?;
    Ok(ours || !is_given(values, "TRACE_CONSOLE") && exporter(values)? == "console")
}

pub(super) fn otlp(values: &Values) -> Result<Option<Otlp>, SettingError> {
    let standard = exporter(values)? == "otlp";
    let candidates: &[&str] = if standard {
        &[
            "OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ]
    } else {
        &["OTLP_ENDPOINT"]
    };
    let Some((name, _)) = first_of(values, candidates) else {
        return Ok(None);
    };
    protocol(values)?;
    Ok(Some(Otlp {
        endpoint: address(values, name)?,
        headers: headers(values)?,
        gzip: gzip(values)?,
        timeout: timeout(values)?,
        certificate: values
            .text("OTEL_EXPORTER_OTLP_CERTIFICATE")
            .map(PathBuf::from),
    }))
}

/// The address of the traces endpoint: given whole, or as the base it hangs from.
fn address(values: &Values, name: &str) -> Result<String, SettingError> {
    let expected = "an address like http://localhost:4318";
    let uri: Uri = values.get(name, expected)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return Err(values.unusable(name, expected));
    }
    let address = uri.to_string();
    if name == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" {
        return Ok(address);
    }
    let base = address.trim_end_matches('/');
    if name == "OTLP_ENDPOINT" && base.ends_with("/v1/traces") {
        return Ok(base.to_owned());
    }
    Ok(format!("{base}/v1/traces"))
}

fn protocol(values: &Values) -> Result<(), SettingError> {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ];
    match first_of(values, &names) {
        Some((name, text)) if text != "http/protobuf" => {
            Err(values.unusable(name, "http/protobuf, the one there is"))
        }
        _ => Ok(()),
    }
}

fn gzip(values: &Values) -> Result<bool, SettingError> {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
    ];
    match first_of(values, &names) {
        Some((_, text)) if text == "gzip" => Ok(true),
        Some((name, text)) if text != "none" => Err(values.unusable(name, "none or gzip")),
        _ => Ok(false),
    }
}

fn timeout(values: &Values) -> Result<Duration, SettingError> {
    let own = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT";
    if values.text(own).is_some() {
        return values.millis(own, 1);
    }
    values.millis("OTEL_EXPORTER_OTLP_TIMEOUT", 1)
}

fn headers(values: &Values) -> Result<Vec<(HeaderName, HeaderValue)>, SettingError> {
    let own = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
    let name = if values.secret(own).is_some() {
        own
    } else {
        "OTEL_EXPORTER_OTLP_HEADERS"
    };
    let unusable = || values.unusable(name, "headers like key=value,key=value");
    let mut found = Vec::new();
    for (key, value) in pairs(values, name)? {
        let key: HeaderName = key.parse().map_err(|_| unusable())?;
        let mut value: HeaderValue = value.parse().map_err(|_| unusable())?;
        value.set_sensitive(true);
        found.push((key, value));
    }
    Ok(found)
}

/// `key=value` pairs, comma-separated, the values percent-encoded.
fn pairs(values: &Values, name: &str) -> Result<Vec<(String, String)>, SettingError> {
    let text = values.secret(name);
    let text = text.as_ref().map_or("", |text| text.expose_secret());
    let items = text.split(',').filter(|item| !item.trim().is_empty());
    let read = |item: &str| {
        let (key, value) = item.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let key = key.trim();
        (!key.is_empty()).then(|| (key.to_owned(), value.into_owned()))
    };
    items
        .map(|item| read(item).ok_or_else(|| values.unusable(name, "key=value,key=value")))
        .collect()
}

pub(super) fn batches(values: &Values) -> Result<Batches, SettingError> {
    let queue = values.number("OTEL_BSP_MAX_QUEUE_SIZE", 1, 1_000_000)?;
    let size = values.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, queue)?;
    Ok(Batches {
        delay: values.millis("OTEL_BSP_SCHEDULE_DELAY", 1)?,
        queue,
        size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Section, telemetry::TelemetrySettings};

    fn read(pairs: &[(&str, &str)]) -> Result<TelemetrySettings, SettingError> {
        TelemetrySettings::read(&Values::from_pairs(pairs.iter().copied()).unwrap())
    }

    fn settings(pairs: &[(&str, &str)]) -> TelemetrySettings {
        read(pairs).unwrap()
    }

    #[test]
    fn an_endpoint_is_a_base_or_whole_and_ours_wins() {
        let ours = ("OTLP_ENDPOINT", "http://ours:4318");
        let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://whole/take/it");
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318/");
        for (given, expected) in [
            (&[ours, whole, base][..], "http://ours:4318/v1/traces"),
            (&[whole, base], "http://whole/take/it"),
            (&[base], "http://base:4318/v1/traces"),
            (
                &[("OTLP_ENDPOINT", "http://ours/v1/traces")],
                "http://ours/v1/traces",
            ),
        ] {
            assert_eq!(settings(given).otlp.unwrap().endpoint, expected);
        }
    }

    #[test]
    fn the_standard_switches_turn_the_standard_endpoint_off() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318");
        for off in [
            ("OTEL_SDK_DISABLED", "true"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ] {
            assert!(settings(&[base, off]).otlp.is_none());
            let ours = ("OTLP_ENDPOINT", "http://ours:4318");
            assert!(settings(&[ours, off]).otlp.is_some());
        }
        assert!(settings(&[("OTEL_TRACES_EXPORTER", "console")]).trace_console);
    }

    #[test]
    fn names_come_from_the_first_who_gives_one() {
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=third,team=a%20b");
        let standard = ("OTEL_SERVICE_NAME", "second");
        let ours = ("SERVICE_NAME", "first");

        assert_eq!(
            settings(&[attributes, standard, ours]).service_name,
            "first"
        );
        assert_eq!(settings(&[attributes, standard]).service_name, "second");
        let read = settings(&[attributes]);
        assert_eq!(read.service_name, "third");
        assert!(read.resource.contains(&("team".into(), "a b".into())));
    }

    #[test]
    fn the_standard_samplers_are_understood_and_ours_wins() {
        let sampler = |parent_based, ratio| Sampler {
            parent_based,
            ratio,
        };
        for (kind, expected) in [
            ("always_on", sampler(false, 1.0)),
            ("always_off", sampler(false, 0.0)),
            ("traceidratio", sampler(false, 0.25)),
            ("parentbased_always_off", sampler(true, 0.0)),
            ("parentbased_traceidratio", sampler(true, 0.25)),
        ] {
            let standard = [
                ("OTEL_TRACES_SAMPLER", kind),
                ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ];
            assert_eq!(settings(&standard).sampler, expected, "{kind}");
            let both = [standard[0], standard[1], ("TRACE_SAMPLE_RATIO", "0.5")];
            assert_eq!(settings(&both).sampler, sampler(true, 0.5));
        }
    }

    #[test]
    fn headers_are_secret_and_decoded() {
        let endpoint = ("OTLP_ENDPOINT", "http://ours:4318");
        let general = ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%3Db, other=2");

        let headers = settings(&[endpoint, general]).otlp.unwrap().headers;

        assert_eq!(headers[0].0, "api-key");
        assert_eq!(headers[0].1, "a=b");
        assert_eq!(headers[1].1, "2");
        assert!(!format!("{headers:?}").contains("a=b"));
    }

    #[test]
    fn what_cannot_be_used_names_its_variable() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "novalue"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_PROPAGATORS", "b3"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9000"),
            ("OTLP_ENDPOINT", "localhost:4317"),
            ("TRACE_SAMPLE_RATIO", "2"),
        ] {
            let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318");
            let error = read(&[endpoint, (name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
