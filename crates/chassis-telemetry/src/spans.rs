//! Where a trace begins, and whether it is recorded.
//!
//! A trace begins with a request ([`Tracing::request`]) or a run of a background task ([`Tracing::task`]). The sampler
//! is asked there, once. When the answer is yes, the span gets the target [`RECORDED`], which
//! [`super::recorded::Recorded`] lets through to OpenTelemetry, and with it the spans inside. When it is no, the target
//! is [`UNRECORDED`]: no span inside is made at all, and the beginning keeps only what others need, in its extensions:
//! the ids for its log lines and the context for the services that are called ([`Unrecorded`]).
//!
//! The services that an unrecorded request calls continue the caller's trace, not a span of ours: no span of ours will
//! ever be exported for them to be children of. Without a caller they get the ids of our log lines.

use std::{cell::Cell, fmt, net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, request::Parts};
use opentelemetry::{
    Context, SpanId, TraceId,
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::{SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceState},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::{
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{
        IdGenerator, ParentBasedSampler, RandomIdGenerator, Sampler as SdkSampler,
        SamplingDecision, ShouldSample,
    },
};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    Registry,
    registry::{ExtensionsMut, LookupSpan},
};

use super::{
    Origin, Propagator, Sampler, TelemetryOptions,
    attributes::{network, protocol_version, scheme, user_agent, user_agent_hash},
    logs::SpanFields,
};

/// The target of spans that begin a recorded trace.
pub(super) const RECORDED: &str = concat!(env!("CARGO_CRATE_NAME"), "::recorded");

/// The target of spans that begin one that is not.
pub(super) const UNRECORDED: &str = concat!(env!("CARGO_CRATE_NAME"), "::unrecorded");

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Begins traces; clones share the options.
#[derive(Debug, Clone)]
pub struct Tracing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None` when finished spans go nowhere.
    sampler: Option<Box<dyn ShouldSample>>,
    /// Whether lines are written, which have fields of their span.
    logs: bool,
    untraced: Vec<String>,
    propagator: TextMapCompositePropagator,
    ids: RandomIdGenerator,
}

/// What is known of a request when its span begins.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The HTTP method, or `OTHER`: a client must not be able to make new values.
    pub method: &'static str,
    /// The route template.
    pub template: &'static str,
    /// `correlation_id` of its log lines.
    pub correlation_id: &'a str,
    /// The address of the client, as far as it is known. Log lines have its network.
    pub client_ip: Option<IpAddr>,
    /// Method, URI, version and headers.
    pub head: &'a Parts,
}

impl Tracing {
    /// Reads the options once.
    #[must_use]
    pub fn new(options: &TelemetryOptions) -> Self {
        Self(Arc::new(Inner {
            sampler: options.exports().then(|| sampler(options.sampler)),
            logs: options.logs(),
            untraced: options.untraced.clone(),
            propagator: propagator(&options.propagators),
            ids: RandomIdGenerator::default(),
        }))
    }

    /// Opens the server span of a request, as a child of the caller's when it sent one.
    ///
    /// Names follow the [OpenTelemetry semantic conventions for HTTP
    /// spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/). `url.path` and the host are
    /// left out on purpose: the client chooses them, and they can contain secrets. The span is disabled
    /// ([`Span::none`]) when no line and no span would come of it and the caller sent no context.
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
        if self.has_no_effect(caller.as_ref()) {
            return Span::none();
        }
        let traced = !self.0.untraced.iter().any(|path| path == template);
        let trace = self.trace(caller.as_ref());
        if !(traced && self.records(caller.as_ref(), trace)) {
            let span = tracing::info_span!(
                target: UNRECORDED,
                "request",
                correlation_id,
                http.request.method = method,
                http.route = template,
                client.network = client_ip.map(network),
                user_agent.hash = user_agent_hash(&head.headers),
                user.id = Empty,
            );
            self.leave_unrecorded(&span, caller, trace);
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
            url.scheme = scheme(&head.uri),
            network.protocol.version = protocol_version(head.version),
            client.address = client_ip.map(tracing::field::display),
            client.network = client_ip.map(network),
            user_agent.hash = user_agent_hash(&head.headers),
            user_agent.original = user_agent(&head.headers),
            user.id = Empty,
            error.r#type = Empty,
        );
        begin(&span, caller, trace);
        span
    }

    /// Opens the span of a run of a background task: a trace of its own.
    #[must_use]
    pub fn task(&self, name: &'static str) -> Span {
        self.task_from(name, &Origin::default())
    }

    /// The same for work that was caused elsewhere: its trace links to the one it comes from, and its log lines carry the
    /// correlation id. The name is one of few, known when the program is written.
    #[must_use]
    pub fn task_from(&self, name: &str, origin: &Origin) -> Span {
        let correlation_id = origin.correlation_id.as_deref();
        let trace = self.trace(None);
        if !self.records(None, trace) {
            let span = tracing::info_span!(target: UNRECORDED, "task", correlation_id, task = name);
            self.leave_unrecorded(&span, None, trace);
            return span;
        }
        let span = tracing::info_span!(
            target: RECORDED,
            "task",
            otel.name = name,
            otel.kind = "internal",
            otel.status_code = Empty,
            correlation_id,
            task = name,
            error.r#type = Empty,
        );
        // Before it begins: a link that comes later says nothing to a sampler.
        span.add_link(origin.span_context());
        begin(&span, None, trace);
        span
    }

    /// Writes the context of the current span into the headers of a call to another service.
    pub fn propagate(&self, headers: &mut HeaderMap) {
        let context = current_context();
        let mut injector = HeaderInjector(headers);
        self.0.propagator.inject_context(&context, &mut injector);
    }

    /// The context that the caller sent, if any.
    fn caller(&self, headers: &HeaderMap) -> Option<Context> {
        // Most requests have neither, and to walk over their few headers costs less than to compute two hashes.
        let is_sent = |name: &HeaderName| *name == TRACEPARENT || *name == BAGGAGE;
        if !headers.keys().any(is_sent) {
            return None;
        }
        let headers = HeaderExtractor(headers);
        Some(
            self.0
                .propagator
                .extract_with_context(&Context::new(), &headers),
        )
    }

    /// Whether a span would have no effect: no line, no trace, no context to pass on to the services that are called.
    fn has_no_effect(&self, caller: Option<&Context>) -> bool {
        !self.0.logs && self.0.sampler.is_none() && caller.is_none()
    }

    /// The trace that a span belongs to: the caller's, or a new one.
    fn trace(&self, caller: Option<&Context>) -> TraceId {
        let caller = caller.map(|caller| caller.span().span_context().clone());
        let continued = caller.filter(SpanContext::is_valid);
        continued.map_or_else(|| self.0.ids.new_trace_id(), |caller| caller.trace_id())
    }

    /// Whether a trace that begins here is recorded.
    fn records(&self, caller: Option<&Context>, trace_id: TraceId) -> bool {
        let Some(sampler) = &self.0.sampler else {
            return false;
        };
        let result = sampler.should_sample(caller, trace_id, "", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    /// Gives a span that is not recorded the ids for its log lines and the context for the services it calls.
    fn leave_unrecorded(&self, span: &Span, caller: Option<Context>, trace_id: TraceId) {
        let parent = caller
            .as_ref()
            .map(|caller| caller.span().span_context().clone());
        let parent = parent.filter(SpanContext::is_valid);
        let own = SpanContext::new(
            trace_id,
            self.0.ids.new_span_id(),
            TraceFlags::default(),
            false,
            TraceState::NONE,
        );
        with_extensions(span, |extensions| {
            carry_ids(extensions, &own);
            let passed_on = parent.unwrap_or(own);
            extensions.insert(Unrecorded { passed_on, caller });
        });
    }
}

/// The SDK's samplers: by the trace id, as every service with the same ratio decides, or by the caller.
fn sampler(options: Sampler) -> Box<dyn ShouldSample> {
    let by_ratio = SdkSampler::TraceIdRatioBased(options.ratio);
    if options.parent_based {
        Box::new(ParentBasedSampler::new(by_ratio))
    } else {
        Box::new(by_ratio)
    }
}

/// What a span that is not recorded keeps for the services that are called inside it.
struct Unrecorded {
    /// The caller's context, or one with the ids of our log lines.
    passed_on: SpanContext,
    /// Kept for its baggage.
    caller: Option<Context>,
}

/// The context of the current span, recorded or not.
pub(super) fn current_context() -> Context {
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

thread_local! {
    /// The trace that the next span of this thread begins, which was decided to be recorded.
    static DECIDED: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Ids at random, but for a trace of which it was decided by its id that it is recorded: who samples by the same ratio comes to
/// the same result only by the same id.
#[derive(Debug)]
pub(super) struct Ids;

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        let decided = DECIDED.take();
        decided.unwrap_or_else(|| RandomIdGenerator::default().new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        RandomIdGenerator::default().new_span_id()
    }
}

/// Starts a recorded span of this trace and gives its ids to the log lines inside it.
fn begin(span: &Span, caller: Option<Context>, trace_id: TraceId) {
    DECIDED.set(Some(trace_id));
    // It fails only when no layer records spans, and then there is no parent to set.
    let _ = span.set_parent(caller.unwrap_or_default());
    let context = span.context();
    let own = context.span().span_context().clone();
    // Still there when the span is part of the caller's trace.
    DECIDED.set(None);
    with_extensions(span, |extensions| carry_ids(extensions, &own));
}

fn carry_ids(extensions: &mut ExtensionsMut<'_>, ids: &SpanContext) {
    if let Some(fields) = extensions.get_mut::<SpanFields>() {
        fields.set_ids(ids.trace_id(), ids.span_id());
    }
}

pub(super) fn with_registry(span: &Span, work: impl FnOnce(&Registry, &tracing::Id)) {
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

/// Records the id of the user who sent the current request: `user.id` of its span, `caller_id` of its log lines.
///
/// Call it inside the request's own span, at most once: each call adds the field again.
pub fn record_user(id: impl fmt::Display) {
    Span::current().record("user.id", tracing::field::display(id));
}

/// Records on a request's span how it ended: the status, and for 5xx the failure with the code of its problem.
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

/// Marks a span as failed. It has to declare the field `otel.status_code`.
pub fn fail(span: &Span) {
    span.record("otel.status_code", "ERROR");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(ratio: f64, low: u64) -> bool {
        let sampler = sampler(Sampler {
            parent_based: true,
            ratio,
        });
        let id = TraceId::from(u128::from(low));
        let result = sampler.should_sample(None, id, "", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn a_ratio_splits_the_trace_ids() {
        assert!(takes(1.0, u64::MAX));
        assert!(!takes(0.0, 0));
        assert!(takes(0.5, u64::MAX / 2 - 1));
        assert!(!takes(0.5, u64::MAX / 2 + 2));
    }
}
