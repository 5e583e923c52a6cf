//! The variables that OpenTelemetry gives every service, read like any other setting.
//!
//! Where one of ours says the same, ours wins when it was given; so
//! `SERVICE_NAME` beats `OTEL_SERVICE_NAME`, which beats the default. The SDK
//! reads some of these from the environment by itself; it is told the same
//! values here, which may also come from `.env` or the file.
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::{path::PathBuf, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use chassis_settings::{
    AppEnv, List, OneOf, ParseWith, SettingError, Values, list, millis, number, one_of, optional,
    parse_with, path, settings, switch, text,
};
use http::{HeaderName, HeaderValue, Uri, header::AUTHORIZATION};
use percent_encoding::percent_decode_str;

use super::options::{Batches, Otlp, Propagator, Sampler};

settings! {
    /// true: no spans are exported, unless OTLP_ENDPOINT asks for them
    OTEL_SDK_DISABLED: bool = "false", switch();

    /// as SERVICE_NAME, which wins; tokens keep theirs
    OTEL_SERVICE_NAME: Option<String>, optional(text("a name"));

    /// what traces say about this process: key=value, comma-separated, percent-encoded
    OTEL_RESOURCE_ATTRIBUTES: Pairs, pairs();

    /// which headers carry the context: tracecontext, baggage, none
    OTEL_PROPAGATORS: Vec<Option<Propagator>> = "tracecontext,baggage", list(one_of(&[
        ("tracecontext", Some(Propagator::TraceContext)),
        ("baggage", Some(Propagator::Baggage)),
        ("none", None),
    ]));

    /// otlp, console or none; OTLP_ENDPOINT and TRACE_CONSOLE win
    OTEL_TRACES_EXPORTER: Exporter = "otlp", one_of(&[
        ("otlp", Exporter::Otlp),
        ("console", Exporter::Console),
        ("none", Exporter::None),
    ]);

    /// always_on, always_off, traceidratio, or one of them with parentbased_ in front; TRACE_SAMPLE_RATIO wins
    OTEL_TRACES_SAMPLER: Option<SamplerKind>, optional(parse_with(
        SamplerKind::parse,
        "always_on, always_off or traceidratio, or parentbased_ and one of them",
    ));

    /// the ratio for traceidratio, 0 to 1
    OTEL_TRACES_SAMPLER_ARG: Option<f64>, optional(ratio());

    /// base address, as OTLP_ENDPOINT, which wins
    OTEL_EXPORTER_OTLP_ENDPOINT: Option<Uri>, optional(address());

    /// the whole address for traces, taken as it is
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: Option<Uri>, optional(address());

    /// sent with each export: key=value, comma-separated, percent-encoded
    #[secret]
    OTEL_EXPORTER_OTLP_HEADERS: Pairs, pairs();

    /// the same for traces only, instead
    #[secret]
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: Pairs, pairs();

    /// http/protobuf is the one there is
    OTEL_EXPORTER_OTLP_PROTOCOL: HttpProtobuf = "http/protobuf", protocol();

    /// the same for traces only
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: Option<HttpProtobuf>, optional(protocol());

    /// none or gzip
    OTEL_EXPORTER_OTLP_COMPRESSION: bool = "none", compression();

    /// the same for traces only
    OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: Option<bool>, optional(compression());

    /// how long one export may take, in milliseconds
    OTEL_EXPORTER_OTLP_TIMEOUT: Duration = "10000", millis(1);

    /// the same for traces only
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: Option<Duration>, optional(millis(1));

    /// PEM file with the certificates to trust; unset: the system's
    OTEL_EXPORTER_OTLP_CERTIFICATE: Option<PathBuf>, optional(path("a PEM file"));

    /// how long finished spans wait for company, in milliseconds
    OTEL_BSP_SCHEDULE_DELAY: Duration = "5000", millis(1);

    /// how many finished spans may wait; more are dropped, and said to be
    OTEL_BSP_MAX_QUEUE_SIZE: usize = "8192", number(1..=1_000_000);

    /// how many spans one export carries at most
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: usize = "512", number(1..=1_000_000);
}

/// The standard's words for exporters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exporter {
    Otlp,
    Console,
    None,
}

/// The standard's words for samplers.
#[derive(Clone, Copy)]
struct SamplerKind {
    parent_based: bool,
    /// `None` leaves it to `OTEL_TRACES_SAMPLER_ARG`.
    ratio: Option<f64>,
}

impl SamplerKind {
    fn parse(text: &str) -> Option<Self> {
        let word = text.strip_prefix("parentbased_");
        let ratio = match word.unwrap_or(text) {
            "always_on" => Some(1.0),
            "always_off" => Some(0.0),
            "traceidratio" => None,
            _ => return None,
        };
        Some(Self {
            parent_based: word.is_some(),
            ratio,
        })
    }
}

/// The only protocol that spans are exported with.
#[derive(Clone, Copy)]
struct HttpProtobuf;

const fn protocol() -> ParseWith<HttpProtobuf> {
    parse_with(
        |text| (text == "http/protobuf").then_some(HttpProtobuf),
        "http/protobuf, the one there is",
    )
}

/// Whether exports are compressed.
const fn compression() -> OneOf<bool> {
    one_of(&[("none", false), ("gzip", true)])
}

/// An address that spans can be sent to.
pub(super) const fn address() -> ParseWith<Uri> {
    parse_with(parse_address, "an address like http://localhost:4318")
}

fn parse_address(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let usable = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    usable.then_some(uri)
}

/// A share of traces.
pub(super) const fn ratio() -> ParseWith<f64> {
    parse_with(parse_ratio, "a number from 0 to 1")
}

fn parse_ratio(text: &str) -> Option<f64> {
    let ratio = text.parse().ok()?;
    (0.0..=1.0).contains(&ratio).then_some(ratio)
}

type Pairs = Vec<(String, String)>;

/// `key=value` pairs, comma-separated, the values percent-encoded.
const fn pairs() -> List<ParseWith<(String, String)>> {
    list(parse_with(parse_pair, "key=value,key=value"))
}

fn parse_pair(item: &str) -> Option<(String, String)> {
    let (key, value) = item.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let key = key.trim();
    (!key.is_empty()).then(|| (key.to_owned(), value.into_owned()))
}

/// The service's name as the standard variables give it, when they do.
pub(super) fn service_name(values: &Values) -> Result<Option<String>, SettingError> {
    if let Some(name) = values.read(&OTEL_SERVICE_NAME)? {
        return Ok(Some(name));
    }
    let mut attributes = values.read(&OTEL_RESOURCE_ATTRIBUTES)?.into_iter();
    let name = attributes.find(|(name, _)| name == "service.name");
    Ok(name.map(|(_, name)| name))
}

/// Attributes of this process: `OTEL_RESOURCE_ATTRIBUTES`, and the environment unless they name it.
pub(super) fn resource(
    values: &Values,
    app_env: AppEnv,
) -> Result<Vec<(String, String)>, SettingError> {
    let name = "deployment.environment.name";
    let mut given = values.read(&OTEL_RESOURCE_ATTRIBUTES)?;
    if given.iter().all(|(given, _)| given != name) {
        given.push((name.to_owned(), app_env.as_str().to_owned()));
    }
    Ok(given)
}

pub(super) fn propagators(values: &Values) -> Result<Vec<Propagator>, SettingError> {
    let propagators = values.read(&OTEL_PROPAGATORS)?;
    Ok(propagators.into_iter().flatten().collect())
}

/// The sampler that the standard variables ask for, when they do.
pub(super) fn sampler(values: &Values) -> Result<Option<Sampler>, SettingError> {
    let Some(kind) = values.read(&OTEL_TRACES_SAMPLER)? else {
        return Ok(None);
    };
    let ratio = match kind.ratio {
        Some(ratio) => ratio,
        None => values.read(&OTEL_TRACES_SAMPLER_ARG)?.unwrap_or(1.0),
    };
    Ok(Some(Sampler {
        parent_based: kind.parent_based,
        ratio,
    }))
}

/// Which exporter the standard variables ask for.
fn exporter(values: &Values) -> Result<Exporter, SettingError> {
    if values.read(&OTEL_SDK_DISABLED)? {
        return Ok(Exporter::None);
    }
    values.read(&OTEL_TRACES_EXPORTER)
}

/// Whether the standard variables ask for spans on the console.
pub(super) fn console(values: &Values) -> Result<bool, SettingError> {
    Ok(exporter(values)? == Exporter::Console)
}

/// Where and how spans are sent: to `ours` if it is given, else to where the standard variables say.
pub(super) fn otlp(values: &Values, ours: Option<Uri>) -> Result<Option<Otlp>, SettingError> {
    let standard = exporter(values)? == Exporter::Otlp;
    let endpoint = match ours {
        Some(uri) => Some(below_base(&uri)),
        None if standard => standard_endpoint(values)?,
        None => None,
    };
    let Some(endpoint) = endpoint else {
        return Ok(None);
    };
    // Only checked: there is one protocol.
    if values.read(&OTEL_EXPORTER_OTLP_TRACES_PROTOCOL)?.is_none() {
        values.read(&OTEL_EXPORTER_OTLP_PROTOCOL)?;
    }
    let gzip = match values.read(&OTEL_EXPORTER_OTLP_TRACES_COMPRESSION)? {
        None => values.read(&OTEL_EXPORTER_OTLP_COMPRESSION)?,
        Some(gzip) => gzip,
    };
    let timeout = match values.read(&OTEL_EXPORTER_OTLP_TRACES_TIMEOUT)? {
        None => values.read(&OTEL_EXPORTER_OTLP_TIMEOUT)?,
        Some(timeout) => timeout,
    };
    let (endpoint, credentials) = without_credentials(&endpoint);
    let mut headers = headers(values)?;
    let is_given = headers.iter().any(|(name, _)| name == AUTHORIZATION);
    let credentials = credentials.filter(|_| !is_given);
    headers.extend(credentials.map(|credentials| (AUTHORIZATION, credentials)));
    Ok(Some(Otlp {
        endpoint,
        headers,
        gzip,
        timeout,
        certificate: values.read(&OTEL_EXPORTER_OTLP_CERTIFICATE)?,
    }))
}

/// An address without `user:password@`, which is then a header (RFC 7617): the address is shown in logs.
fn without_credentials(endpoint: &str) -> (String, Option<HeaderValue>) {
    let Some((credentials, host)) = endpoint
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'))
    else {
        return (endpoint.to_owned(), None);
    };
    let address = endpoint.replacen(&format!("{credentials}@{host}"), host, 1);
    let decoded: Vec<u8> = percent_decode_str(credentials).collect();
    let header = format!("Basic {}", BASE64_STANDARD.encode(decoded));
    let header = HeaderValue::from_str(&header).ok().map(|mut header| {
        header.set_sensitive(true);
        header
    });
    (address, header)
}

fn standard_endpoint(values: &Values) -> Result<Option<String>, SettingError> {
    if let Some(whole) = values.read(&OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)? {
        return Ok(Some(whole.to_string()));
    }
    let base = values.read(&OTEL_EXPORTER_OTLP_ENDPOINT)?;
    Ok(base.map(|base| format!("{}/v1/traces", base.to_string().trim_end_matches('/'))))
}

/// The address of the traces endpoint, given whole or as the base that it hangs from.
fn below_base(uri: &Uri) -> String {
    let address = uri.to_string();
    let base = address.trim_end_matches('/');
    if base.ends_with("/v1/traces") {
        return base.to_owned();
    }
    format!("{base}/v1/traces")
}

fn headers(values: &Values) -> Result<Vec<(HeaderName, HeaderValue)>, SettingError> {
    let setting = if values.is_set(&OTEL_EXPORTER_OTLP_TRACES_HEADERS) {
        &OTEL_EXPORTER_OTLP_TRACES_HEADERS
    } else {
        &OTEL_EXPORTER_OTLP_HEADERS
    };
    let unusable = || values.unusable(setting, "headers like key=value,key=value");
    let mut found = Vec::new();
    for (key, value) in values.read(setting)? {
        let key: HeaderName = key.parse().map_err(|_| unusable())?;
        let mut value: HeaderValue = value.parse().map_err(|_| unusable())?;
        value.set_sensitive(true);
        found.push((key, value));
    }
    Ok(found)
}

pub(super) fn batches(values: &Values) -> Result<Batches, SettingError> {
    let queue = values.read(&OTEL_BSP_MAX_QUEUE_SIZE)?;
    let setting = &OTEL_BSP_MAX_EXPORT_BATCH_SIZE;
    let size = if values.is_given(setting) {
        values.read_with(setting, &number(1..=queue))?
    } else {
        values.read(setting)?.min(queue)
    };
    Ok(Batches {
        delay: values.read(&OTEL_BSP_SCHEDULE_DELAY)?,
        queue,
        size,
    })
}

#[cfg(test)]
mod tests {
    use chassis_settings::{Catalogue, Section};

    use super::*;
    use crate::{SERVICE_NAME, TelemetryOptions as TelemetrySettings};

    fn read(pairs: &[(&str, &str)]) -> Result<TelemetrySettings, SettingError> {
        let catalogue = Catalogue::new().section::<TelemetrySettings>();
        let catalogue = catalogue.with_default(&SERVICE_NAME, "notes");
        TelemetrySettings::read(&catalogue.load_pairs(pairs.iter().copied()).unwrap())
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
    fn credentials_in_an_address_are_sent_and_not_shown() {
        for (name, address, path) in [
            ("OTLP_ENDPOINT", "http://user:p%40w@host:4318", "/v1/traces"),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "http://user:p%40w@host:4318/",
                "/v1/traces",
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://user:p%40w@host:4318/",
                "/",
            ),
        ] {
            let otlp = settings(&[(name, address)]).otlp.unwrap();

            assert_eq!(otlp.endpoint, format!("http://host:4318{path}"));
            let header = HeaderValue::from_static("Basic dXNlcjpwQHc=");
            assert_eq!(otlp.headers, [(AUTHORIZATION, header)]);
            assert!(!format!("{otlp:?}").contains("Basic"), "{otlp:?}");
        }
        let own = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20x");
        let address = ("OTLP_ENDPOINT", "http://user:pw@host");
        let otlp = settings(&[address, own]).otlp.unwrap();
        assert_eq!(
            otlp.headers,
            [(AUTHORIZATION, HeaderValue::from_static("Bearer x"))]
        );
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
        let names = read
            .resource
            .iter()
            .filter(|(name, _)| name == "service.name");
        assert_eq!(names.count(), 1);
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

    #[test]
    fn a_batch_is_no_longer_than_the_queue_where_nobody_says_how_long() {
        let batches = read(&[("OTEL_BSP_MAX_QUEUE_SIZE", "256")]).unwrap().batches;

        assert_eq!((batches.queue, batches.size), (256, 256));
    }
}
