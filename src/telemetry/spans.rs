//! Spans: where a trace begins, and whether it is recorded.
//!
//! A trace begins with a request ([`Tracing::request`]) or a background task
//! ([`Tracing::task`]). There and then it is decided whether it is recorded.
//! If not, the spans inside it are not even made: [`Recorded`] refuses them,
//! and all that is left are the ids, for the log lines and for whoever is
//! called. So a trace that is not sampled costs next to nothing.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, Version, header, request::Parts};
use opentelemetry::{
    Context, TraceId,
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::{SpanContext, TraceContextExt, TraceFlags, TraceState},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::{
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{IdGenerator, RandomIdGenerator},
};
use tracing::{Metadata, Span, Subscriber, field::Empty, subscriber::Interest};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    Registry,
    layer::{self, Filter},
    registry::{ExtensionsMut, LookupSpan},
};

use super::{TelemetrySettings, logs::Carried, settings::Propagator, standard::Sampler};

/// The target of spans that begin a recorded trace.
const RECORDED: &str = concat!(env!("CARGO_CRATE_NAME"), "::recorded");

/// The target of spans that begin one that is not.
const UNRECORDED: &str = concat!(env!("CARGO_CRATE_NAME"), "::unrecorded");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Begins traces; clones share the settings.
#[derive(Debug, Clone)]
pub struct Tracing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None` when spans have nowhere to go.
    sampler: Option<Sampler>,
    /// Whether lines are written, which carry what spans hold.
    logs: bool,
    untraced: Vec<String>,
    propagator: TextMapCompositePropagator,
    ids: RandomIdGenerator,
}

/// What is known of a request when its span begins.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Its method, as a label.
    pub method: &'static str,
    /// The route template.
    pub template: &'static str,
    /// Its name.
    pub correlation_id: &'a str,
    /// Who is held responsible for it.
    pub client_ip: Option<IpAddr>,
    /// Its head.
    pub head: &'a Parts,
}

impl Tracing {
    /// Prepares to begin traces by these settings.
    #[must_use]
    pub fn new(settings: &TelemetrySettings) -> Self {
        Self(Arc::new(Inner {
            sampler: settings.exports().then_some(settings.sampler),
            logs: settings.logs(),
            untraced: settings.untraced.clone(),
            propagator: propagator(&settings.propagators),
            ids: RandomIdGenerator::default(),
        }))
    }

    /// Opens the server span of a request, as a child of the caller's when it sent one.
    ///
    /// Names follow the OpenTelemetry semantic conventions for HTTP spans. `url.path`
    /// and the host are left out on purpose: they are the client's words, and can hold anything.
    #[must_use]
    pub fn request(&self, incoming: Incoming<'_>) -> Span {
        let Incoming {
            method,
            template,
            correlation_id,
            client_ip,
            head,
        } = incoming;
        let caller = self.caller(&head.headers);
        if self.is_unseen(caller.as_ref()) {
            return Span::none();
        }
        let traced = !self.0.untraced.iter().any(|path| path == template);
        if !(traced && self.records(caller.as_ref())) {
            let span = tracing::info_span!(
                target: UNRECORDED,
                "request",
                correlation_id,
                http.request.method = method,
                http.route = template,
                user.id = Empty,
            );
            self.leave_unrecorded(&span, caller);
            return span;
        }
        let span = tracing::info_span!(
            target: RECORDED,
            "request",
            otel.name = format_args!("{method} {template}"),
            otel.kind = "server",
            otel.status_code = Empty,
            correlation_id,
            http.request.method = method,
            http.route = template,
            http.response.status_code = Empty,
            url.scheme = head.uri.scheme_str().unwrap_or("http"),
            network.protocol.version = protocol_version(head.version),
            client.address = client_ip.map(tracing::field::display),
            user_agent.original = user_agent(&head.headers),
            user.id = Empty,
            error.r#type = Empty,
        );
        begin(&span, caller);
        span
    }

    /// Opens the span of a run of a background task: a trace of its own.
    #[must_use]
    pub fn task(&self, name: &'static str) -> Span {
        if !self.records(None) {
            let span = tracing::info_span!(target: UNRECORDED, "task", task = name);
            self.leave_unrecorded(&span, None);
            return span;
        }
        let span = tracing::info_span!(
            target: RECORDED,
            "task",
            otel.name = name,
            otel.kind = "internal",
            otel.status_code = Empty,
            task = name,
            error.r#type = Empty,
        );
        begin(&span, None);
        span
    }

    /// Writes the context of the current span into the headers of a call to another service.
    pub fn propagate(&self, headers: &mut HeaderMap) {
        let context = current_context();
        let mut injector = HeaderInjector(headers);
        self.0.propagator.inject_context(&context, &mut injector);
    }

    /// The context that the caller sent, when it sent one.
    fn caller(&self, headers: &HeaderMap) -> Option<Context> {
        if !headers.contains_key(TRACEPARENT) && !headers.contains_key(BAGGAGE) {
            return None;
        }
        let headers = HeaderExtractor(headers);
        Some(
            self.0
                .propagator
                .extract_with_context(&Context::new(), &headers),
        )
    }

    /// Whether nothing would ever come of a span: no line, no trace, no caller to name to the services that are called.
    fn is_unseen(&self, caller: Option<&Context>) -> bool {
        !self.0.logs && self.0.sampler.is_none() && caller.is_none()
    }

    /// Whether a trace that begins here is recorded.
    fn records(&self, caller: Option<&Context>) -> bool {
        let Some(sampler) = self.0.sampler else {
            return false;
        };
        let caller = caller.map(|caller| caller.span().span_context().clone());
        let caller = caller.filter(SpanContext::is_valid);
        match caller {
            Some(caller) if sampler.parent_based => caller.is_sampled(),
            Some(caller) => sampler.takes(caller.trace_id()),
            None => sampler.takes(self.0.ids.new_trace_id()),
        }
    }

    /// Gives a span that is not recorded the ids that log lines and callees want.
    fn leave_unrecorded(&self, span: &Span, caller: Option<Context>) {
        let parent = caller
            .as_ref()
            .map(|caller| caller.span().span_context().clone());
        let parent = parent.filter(SpanContext::is_valid);
        let trace_id = parent
            .as_ref()
            .map_or_else(|| self.0.ids.new_trace_id(), SpanContext::trace_id);
        let own = SpanContext::new(
            trace_id,
            self.0.ids.new_span_id(),
            TraceFlags::default(),
            false,
            TraceState::NONE,
        );
        with_extensions(span, |extensions| {
            carry_ids(extensions, &own);
            // Nobody will ever see a span of ours, so callees are the caller's children.
            let passed_on = parent.unwrap_or(own);
            extensions.insert(Unrecorded { passed_on, caller });
        });
    }
}

impl Sampler {
    /// Decides by the trace id, as every service with the same ratio does.
    fn takes(self, trace_id: TraceId) -> bool {
        if self.ratio >= 1.0 {
            return true;
        }
        let bytes = trace_id.to_bytes();
        let low = bytes.last_chunk().copied().map_or(0, u64::from_be_bytes) >> 1;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a ratio from 0 to 1 of 2^63 fits, and needs no more digits than it has"
        )]
        let bound = (self.ratio * (1_u64 << 63) as f64) as u64;
        low < bound
    }
}

/// What is left of a trace that is not recorded.
struct Unrecorded {
    passed_on: SpanContext,
    /// Kept for its baggage.
    caller: Option<Context>,
}

/// The context of the current span, recorded or not.
fn current_context() -> Context {
    let span = Span::current();
    let recorded = span.context();
    if recorded.span().span_context().is_valid() {
        return recorded;
    }
    let mut found = None;
    with_registry(&span, |registry, id| {
        let scope = registry.span(id).into_iter().flat_map(|span| span.scope());
        for span in scope {
            if let Some(left) = span.extensions().get::<Unrecorded>() {
                let base = left.caller.clone().unwrap_or_default();
                found = Some(base.with_remote_span_context(left.passed_on.clone()));
                return;
            }
        }
    });
    found.unwrap_or_default()
}

/// Starts a recorded span and gives its ids to the log lines inside it.
fn begin(span: &Span, caller: Option<Context>) {
    // It fails only without a layer that records, and then nothing is lost.
    let _ = span.set_parent(caller.unwrap_or_default());
    let context = span.context();
    let own = context.span().span_context().clone();
    with_extensions(span, |extensions| carry_ids(extensions, &own));
}

fn carry_ids(extensions: &mut ExtensionsMut<'_>, ids: &SpanContext) {
    let Some(carried) = extensions.get_mut::<Carried>() else {
        return;
    };
    let mut digits = [0; 32];
    carried.push("trace_id", hex(&ids.trace_id().to_bytes(), &mut digits));
    carried.push("span_id", hex(&ids.span_id().to_bytes(), &mut digits));
}

fn hex<'a>(bytes: &[u8], digits: &'a mut [u8; 32]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    std::str::from_utf8(&digits[..bytes.len() * 2]).expect("digits are ASCII")
}

fn with_registry(span: &Span, work: impl FnOnce(&Registry, &tracing::Id)) {
    span.with_subscriber(|(id, dispatch)| {
        if let Some(registry) = dispatch.downcast_ref::<Registry>() {
            work(registry, id);
        }
    });
}

fn with_extensions(span: &Span, work: impl FnOnce(&mut ExtensionsMut<'_>)) {
    with_registry(span, |registry, id| {
        if let Some(span) = registry.span(id) {
            work(&mut span.extensions_mut());
        }
    });
}

/// Notes who is asking, on the current request's span and log lines.
pub fn note_caller(id: impl std::fmt::Display) {
    // The guard runs inside the request's own span.
    Span::current().record("user.id", tracing::field::display(id));
}

/// Notes how the request of this span ended, and by which of our problems when it failed.
pub fn end_request_span(span: &Span, status: u16, problem: Option<&'static str>) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        fail(span);
        match problem {
            Some(code) => span.record("error.type", code),
            None => span.record("error.type", tracing::field::display(status)),
        };
    }
}

/// Marks a span as failed.
pub fn fail(span: &Span) {
    span.record("otel.status_code", "ERROR");
}

/// Lets the spans of recorded traces through to where they are recorded.
pub(super) struct Recorded {
    /// Whether spans have somewhere to go. A layer that is left out is taken for one that wants everything.
    pub(super) exports: bool,
}

impl Recorded {
    fn begins(metadata: &Metadata<'_>) -> bool {
        metadata.target() == RECORDED
    }
}

impl<S> Filter<S> for Recorded
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &layer::Context<'_, S>) -> bool {
        // The spans seen here are those that passed before: none inside a trace that is not recorded.
        self.exports
            && (Self::begins(metadata)
                || is_our_span(metadata) && context.lookup_current().is_some())
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !self.exports {
            Interest::never()
        } else if Self::begins(metadata) {
            Interest::always()
        } else if is_our_span(metadata) && metadata.target() != UNRECORDED {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }
}

/// A span of this program or its chassis, not of a library they use.
fn is_our_span(metadata: &Metadata<'_>) -> bool {
    let ours = [env!("CARGO_CRATE_NAME"), "chassis_"];
    metadata.is_span() && ours.iter().any(|own| metadata.target().starts_with(own))
}

fn propagator(wanted: &[Propagator]) -> TextMapCompositePropagator {
    let made = wanted
        .iter()
        .map(|one| -> Box<dyn TextMapPropagator + Send + Sync> {
            match one {
                Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
                Propagator::Baggage => Box::new(BaggagePropagator::new()),
            }
        });
    TextMapCompositePropagator::new(made.collect())
}

fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// The first 256 characters of what the client calls itself, without control characters.
fn user_agent(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(name.chars().filter(|c| !c.is_control()).take(256).collect())
}

#[cfg(test)]
mod tests {
    use opentelemetry::SpanId;

    use super::*;

    fn takes(ratio: f64, low: u64) -> bool {
        let sampler = Sampler {
            parent_based: true,
            ratio,
        };
        sampler.takes(TraceId::from(u128::from(low)))
    }

    #[test]
    fn a_ratio_splits_the_trace_ids() {
        assert!(takes(1.0, u64::MAX));
        assert!(!takes(0.0, 0));
        assert!(takes(0.5, u64::MAX / 2 - 1));
        assert!(!takes(0.5, u64::MAX / 2 + 2));
    }

    #[test]
    fn ids_are_written_in_hexadecimal() {
        let mut digits = [0; 32];

        assert_eq!(hex(&[0x00, 0xff, 0x1a], &mut digits), "00ff1a");
        let id = SpanId::from(7);
        assert_eq!(hex(&id.to_bytes(), &mut digits), id.to_string());
    }
}
