//! The way finished spans leave the process.
//!
//! Spans wait in a queue of bounded length; a thread of its own takes them in
//! batches and sends each as one OTLP request over HTTP. The queue drops what
//! does not fit, so a collector that is dead, slow or hanging costs spans and
//! never a request. That spans are lost is said once a minute.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError, hyper::HyperClient};
use opentelemetry_otlp::{Compression, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    resource::TelemetryResourceDetector,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData,
        SpanExporter as Exporter,
    },
};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio::runtime::Handle;
use tracing::{Level, Metadata, callsite::Identifier};

use super::{
    TelemetrySettings,
    standard::{Batches, Otlp},
};

/// How often the same complaint is repeated.
const SILENCE: Duration = Duration::from_mins(1);

/// Starts what takes finished spans; without an endpoint nothing is recorded in the first place.
///
/// # Errors
///
/// When the exporter cannot be built from the settings.
pub(super) fn provider(settings: &TelemetrySettings) -> anyhow::Result<SdkTracerProvider> {
    let attributes = settings.resource.iter();
    let attributes = attributes.map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(attributes)
        .build();
    let mut builder = SdkTracerProvider::builder()
        // What comes here is recorded: that was decided where its trace began.
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource);
    if let Some(otlp) = &settings.otlp {
        let cause = Cause::default();
        let exporter = Reporting::new(exporter(otlp, cause.clone())?, cause);
        builder = builder.with_span_processor(in_batches(exporter, settings.batches));
    }
    if settings.trace_console {
        builder = builder.with_simple_exporter(Console);
    }
    Ok(builder.build())
}

fn in_batches(exporter: impl Exporter + 'static, batches: Batches) -> BatchSpanProcessor {
    let config = BatchConfigBuilder::default()
        .with_scheduled_delay(batches.delay)
        .with_max_queue_size(batches.queue)
        .with_max_export_batch_size(batches.size)
        .build();
    BatchSpanProcessor::builder(exporter)
        .with_batch_config(config)
        .build()
}

fn exporter(otlp: &Otlp, cause: Cause) -> anyhow::Result<SpanExporter> {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(trusting(otlp)?)
        .https_or_http()
        .enable_http1()
        .build();
    let client = OnRuntime {
        client: HyperClient::new(connector, otlp.timeout, None),
        runtime: Handle::current(),
        cause,
    };
    let headers = otlp.headers.iter();
    let headers: HashMap<_, _> = headers
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        })
        .collect();
    let mut builder = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(&otlp.endpoint)
        .with_headers(headers)
        .with_timeout(otlp.timeout);
    if otlp.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    Ok(builder.build()?)
}

/// TLS that trusts the certificates named by the settings, or else the system's.
fn trusting(otlp: &Otlp) -> anyhow::Result<ClientConfig> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()?;
    let Some(path) = &otlp.certificate else {
        // A machine without certificates may still send spans to a neighbour in the clear.
        let builder = if otlp.endpoint.starts_with("https:") {
            builder.with_native_roots()?
        } else {
            builder.with_root_certificates(RootCertStore::empty())
        };
        return Ok(builder.with_no_client_auth());
    };
    let named = || format!("OTEL_EXPORTER_OTLP_CERTIFICATE: {}", path.display());
    let mut roots = RootCertStore::empty();
    let certificates = rustls_native_certs::load_certs_from_paths(Some(path), None);
    for certificate in certificates.certs {
        let certificate: CertificateDer<'static> = certificate;
        roots.add(certificate).with_context(named)?;
    }
    anyhow::ensure!(!roots.is_empty(), "{} holds no certificate", named());
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Why the last request to the collector failed, which the exporter's own error does not tell.
type Cause = Arc<Mutex<Option<String>>>;

/// Runs an async client on the service's runtime: spans are exported from a thread that has none.
#[derive(Debug)]
struct OnRuntime<C> {
    client: C,
    runtime: Handle,
    cause: Cause,
}

impl<C: HttpClient + Clone + 'static> HttpClient for OnRuntime<C> {
    fn send_bytes<'a: 'b, 'b>(
        &'a self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'b, Result<http::Response<Bytes>, HttpError>>
    where
        Self: 'b,
    {
        let client = self.client.clone();
        let sent = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        Box::pin(async move {
            let answer: Result<_, HttpError> = sent.await?;
            if let Err(error) = &answer {
                let mut cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
                *cause = Some(super::chain(error.as_ref()));
            }
            answer
        })
    }
}

/// An exporter that says so when spans are lost, at most once a minute.
#[derive(Debug)]
struct Reporting<E> {
    exporter: E,
    cause: Cause,
    lost: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl<E> Reporting<E> {
    fn new(exporter: E, cause: Cause) -> Self {
        Self {
            exporter,
            cause,
            lost: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }

    fn report(&self, error: &OTelSdkError, spans: usize) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.lost.fetch_add(spans, Ordering::Relaxed);
        if is_due(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner)) {
            let spans = self.lost.swap(0, Ordering::Relaxed);
            let mut cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
            let cause = cause.take().unwrap_or_default();
            tracing::warn!(
                error = format!("{error}: {cause}"),
                spans,
                "trace_export_failed"
            );
        }
    }
}

/// Whether it is time to speak again; then that time begins anew.
fn is_due(last: &mut Option<Instant>) -> bool {
    if last.is_some_and(|last| last.elapsed() < SILENCE) {
        return false;
    }
    *last = Some(Instant::now());
    true
}

impl<E: Exporter> Exporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.exporter.export(batch).await;
        if let Err(error) = &outcome {
            self.report(error, spans);
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// What the OpenTelemetry crates say about themselves: warnings, and each at most once a minute.
#[derive(Default)]
pub(super) struct InternalLogs(Mutex<HashMap<Identifier, Option<Instant>>>);

impl InternalLogs {
    /// Whether a line comes from those crates.
    pub(super) fn are(metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("opentelemetry")
    }

    /// Whether this line is worth writing, rate aside.
    pub(super) fn are_wanted(metadata: &Metadata<'_>) -> bool {
        // A failed export has been reported by then, with what it lost.
        *metadata.level() <= Level::WARN && !metadata.name().contains("ExportError")
    }

    /// Whether this one is due.
    pub(super) fn are_due(&self, metadata: &Metadata<'_>) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        is_due(said.entry(metadata.callsite()).or_default())
    }
}

/// Shows finished spans on standard error, a line each.
#[derive(Debug)]
struct Console;

impl Exporter for Console {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        for span in batch {
            let duration = span
                .end_time
                .duration_since(span.start_time)
                .unwrap_or_default();
            let line = serde_json::json!({
                "span": span.name,
                "trace_id": span.span_context.trace_id().to_string(),
                "span_id": span.span_context.span_id().to_string(),
                "parent_span_id": span.parent_span_id.to_string(),
                "duration_ms": duration.as_secs_f64() * 1000.0,
                "status": format!("{:?}", span.status),
                "attributes": span.attributes.iter()
                    .map(|attribute| (attribute.key.to_string(), attribute.value.to_string()))
                    .collect::<BTreeMap<_, _>>(),
            });
            eprintln!("{line}");
        }
        Ok(())
    }
}
