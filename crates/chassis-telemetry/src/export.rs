//! How finished spans leave the process.
//!
//! The SDK's batch processor keeps them in a bounded queue; its own thread takes them in batches and sends each as one
//! OTLP request over HTTP. What does not fit into the queue is dropped, so a collector that is dead, slow or hanging
//! costs spans and never delays a request. Lost spans are counted (`spans_dropped_total`) and logged at most once a minute
//! (`trace_queue_full`, `trace_export_failed`).
//!
//! The thread has no tokio runtime and hyper's client needs one, so [`OnRuntime`] runs each request on the runtime
//! that was current when telemetry was started.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT},
};
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
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    Batches, Build, Otlp, TelemetryError, TelemetryOptions, chain,
    dropped_spans::{Bounded, DroppedSpans, Waiting},
    internal_logs::is_due,
    spans::Ids,
};

/// The provider that finished spans go through, with as many exporters as the options ask for.
pub(super) fn provider(
    build: Build,
    options: &TelemetryOptions,
) -> Result<SdkTracerProvider, TelemetryError> {
    let attributes = resource(build, options).into_iter();
    let attributes = attributes.map(|(name, value)| KeyValue::new(name, value));
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(attributes)
        .build();
    let mut builder = SdkTracerProvider::builder()
        // Whether a trace is recorded was decided where it began.
        .with_sampler(Sampler::AlwaysOn)
        .with_id_generator(Ids)
        .with_resource(resource);
    if let Some(otlp) = &options.otlp {
        let cause = Cause::default();
        let exporter = exporter(otlp, cause.clone())?;
        let processor = in_batches(exporter, cause, options.batches, &options.dropped_spans);
        builder = builder.with_span_processor(processor);
    }
    if options.trace_console {
        builder = builder.with_simple_exporter(Console);
    }
    Ok(builder.build())
}

/// The attributes of this process: those of the options, and the rest of what is known here.
fn resource(build: Build, options: &TelemetryOptions) -> Vec<(String, String)> {
    let given = &options.resource;
    let own = [
        ("service.version", build.version.to_owned()),
        ("service.instance.id", Uuid::new_v4().to_string()),
        ("vcs.ref.head.revision", build.revision.to_owned()),
        ("process.pid", std::process::id().to_string()),
    ];
    let own = own
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter();
    let own = own.filter(|(name, _)| given.iter().all(|(given, _)| given != name));
    let given = given.iter().filter(|(name, _)| name != "service.name");
    let service = ("service.name".to_owned(), options.service_name.clone());
    own.chain(given.cloned()).chain([service]).collect()
}

fn in_batches(
    exporter: SpanExporter,
    cause: Cause,
    batches: Batches,
    dropped: &DroppedSpans,
) -> Bounded<BatchSpanProcessor> {
    let waiting = Waiting::default();
    let exporter = Reporting::new(exporter, cause, waiting.clone(), dropped.clone());
    let config = BatchConfigBuilder::default()
        .with_scheduled_delay(batches.delay)
        .with_max_queue_size(batches.queue)
        .with_max_export_batch_size(batches.size)
        .build();
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(config)
        .build();
    Bounded::new(processor, waiting, batches.queue, dropped)
}

fn exporter(otlp: &Otlp, cause: Cause) -> Result<SpanExporter, TelemetryError> {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(otlp)?)
        .https_or_http()
        .enable_http1()
        .build();
    let client = OnRuntime {
        client: HyperClient::new(connector, otlp.timeout, None),
        headers: otlp.headers.iter().cloned().collect(),
        runtime: Handle::current(),
        cause,
    };
    let mut builder = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(&otlp.endpoint)
        .with_timeout(otlp.timeout);
    if otlp.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    builder.build().map_err(TelemetryError::Exporter)
}

/// TLS that trusts the certificates in the given file, or else the system's.
fn tls(otlp: &Otlp) -> Result<ClientConfig, TelemetryError> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(TelemetryError::Tls)?;
    let Some(path) = &otlp.certificate else {
        // Without TLS no certificates are needed, and a minimal container has none.
        let builder = if otlp.endpoint.starts_with("https:") {
            builder
                .with_native_roots()
                .map_err(TelemetryError::SystemCertificates)?
        } else {
            builder.with_root_certificates(RootCertStore::empty())
        };
        return Ok(builder.with_no_client_auth());
    };
    let unusable = |problem: String| TelemetryError::Certificate {
        path: path.clone(),
        problem,
    };
    let mut roots = RootCertStore::empty();
    for certificate in rustls_native_certs::load_certs_from_paths(Some(path), None).certs {
        roots.add(certificate).map_err(|error| {
            unusable(format!("holds a certificate that cannot be used: {error}"))
        })?;
    }
    if roots.is_empty() {
        return Err(unusable("holds no certificate".to_owned()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Why the last request to the collector failed, which the exporter's own error leaves out.
type Cause = Arc<Mutex<Option<String>>>;

/// Runs a client on the given runtime: spans are exported from a thread that has none.
#[derive(Debug)]
struct OnRuntime<C> {
    client: C,
    /// What the options say. The exporter would read the environment once more, which may say something else: it knows nothing
    /// of files and of other sources of settings.
    headers: HeaderMap,
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
        let mut request = request;
        let own = std::mem::replace(request.headers_mut(), self.headers.clone());
        for name in [CONTENT_TYPE, CONTENT_ENCODING, USER_AGENT] {
            if let Some(value) = own.get(&name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        let sent = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        Box::pin(async move {
            let answer: Result<_, HttpError> = sent.await?;
            if let Err(error) = &answer {
                let mut cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
                *cause = Some(chain(error.as_ref()));
            }
            answer
        })
    }
}

/// Logs lost spans, at most once a minute, with their number since the last such line.
#[derive(Debug)]
struct Reporting<E> {
    exporter: E,
    cause: Cause,
    waiting: Waiting,
    dropped: DroppedSpans,
    lost: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl<E> Reporting<E> {
    fn new(exporter: E, cause: Cause, waiting: Waiting, dropped: DroppedSpans) -> Self {
        Self {
            exporter,
            cause,
            waiting,
            dropped,
            lost: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }

    fn report(&self, error: &OTelSdkError, spans: usize) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.lost.fetch_add(spans, Ordering::Relaxed);
        self.dropped.failed(spans);
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

impl<E: Exporter> Exporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.waiting.leave(spans);
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

/// Writes finished spans to standard error, one JSON object a line.
#[derive(Debug)]
struct Console;

impl Exporter for Console {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
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
            // Standard error may be closed; `eprintln!` would panic.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        std::future::ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{BUILD, options};

    #[test]
    fn attributes_that_are_given_replace_those_made_here() {
        let given = [
            ("service.version", "9"),
            ("team", "blue"),
            ("service.name", "x"),
        ];
        let mut options = options();
        options.resource = given
            .map(|(name, value)| (name.into(), value.into()))
            .into();

        let resource = resource(BUILD, &options);

        let values_of = |name: &str| -> Vec<&str> {
            let found = resource.iter().filter(|(found, _)| found == name);
            found.map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(values_of("service.version"), ["9"]);
        assert_eq!(values_of("team"), ["blue"]);
        assert_eq!(values_of("service.name"), ["notes"]);
        assert_eq!(values_of("vcs.ref.head.revision"), ["abc"]);
    }
}
