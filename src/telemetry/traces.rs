//! Traces: the span of a request, and the way spans leave the process.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry::{KeyValue, global, trace::TraceContextExt};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError, hyper::HyperClient};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider, SpanData},
};
use tokio::{runtime::Handle, time::Instant};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::TelemetrySettings;

/// How long one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the server span of a request, as a child of the caller's when it sent one.
///
/// Names follow the OpenTelemetry semantic conventions for HTTP spans.
#[must_use]
pub fn request_span(
    method: &'static str,
    template: &'static str,
    correlation_id: &str,
    headers: &HeaderMap,
) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.name = format_args!("{method} {template}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = template,
        http.response.status_code = Empty,
        error.r#type = Empty,
        correlation_id,
        method,
        path = template,
        trace_id = Empty,
        span_id = Empty,
    );
    if headers.contains_key("traceparent") {
        let parent = global::get_text_map_propagator(|propagator| {
            propagator.extract(&HeaderExtractor(headers))
        });
        // It fails only when the span is filtered out, and then nothing is lost.
        let _ = span.set_parent(parent);
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    if context.is_valid() {
        span.record("trace_id", context.trace_id().to_string());
        span.record("span_id", context.span_id().to_string());
    }
    span
}

/// Notes how the request of this span ended.
pub fn end_request_span(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status);
    }
}

/// Starts what turns spans into traces; without an endpoint they only get their ids.
///
/// # Errors
///
/// When the exporter cannot be built from the settings.
pub(super) fn provider(settings: &TelemetrySettings) -> anyhow::Result<SdkTracerProvider> {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let ratio = Sampler::TraceIdRatioBased(settings.trace_sample_ratio);
    let resource = Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let mut builder = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(ratio)))
        .with_resource(resource);
    if let Some(endpoint) = &settings.otlp_endpoint {
        builder = builder.with_batch_exporter(Reporting::new(exporter(endpoint)?));
    }
    if settings.trace_console {
        builder = builder.with_simple_exporter(Console);
    }
    Ok(builder.build())
}

fn exporter(endpoint: &str) -> anyhow::Result<SpanExporter> {
    let connector = HttpsConnectorBuilder::new()
        .with_native_roots()?
        .https_or_http()
        .enable_http1()
        .build();
    let client = OnRuntime {
        client: HyperClient::new(connector, EXPORT_TIMEOUT, None),
        runtime: Handle::current(),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    Ok(exporter)
}

/// Runs an async client on the service's runtime: spans are exported from a thread that has none.
#[derive(Debug)]
struct OnRuntime<C> {
    client: C,
    runtime: Handle,
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
        Box::pin(async move { sent.await? })
    }
}

/// An exporter that says so when spans are lost, at most once a minute.
#[derive(Debug)]
struct Reporting<E> {
    exporter: E,
    started: Instant,
    next_report: AtomicU64,
}

impl<E> Reporting<E> {
    fn new(exporter: E) -> Self {
        Self {
            exporter,
            started: Instant::now(),
            next_report: AtomicU64::new(0),
        }
    }

    fn report(&self, error: &opentelemetry_sdk::error::OTelSdkError, spans: usize) {
        let now = self.started.elapsed().as_secs();
        let due = self.next_report.load(Ordering::Relaxed);
        if now >= due {
            self.next_report.store(now + 60, Ordering::Relaxed);
            tracing::warn!(%error, spans, "trace_export_failed");
        }
    }
}

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter
    for Reporting<E>
{
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

/// Shows finished spans on standard error, a line each.
#[derive(Debug)]
struct Console;

impl opentelemetry_sdk::trace::SpanExporter for Console {
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
                "attributes": span.attributes.iter()
                    .map(|attribute| (attribute.key.to_string(), attribute.value.to_string()))
                    .collect::<std::collections::BTreeMap<_, _>>(),
            });
            eprintln!("{line}");
        }
        Ok(())
    }
}
