//! Where work comes from that is done later, in a trace of its own.

use std::collections::HashMap;

use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_subscriber::registry::LookupSpan;

use super::{
    Tracing,
    logs::SpanFields,
    spans::{TRACEPARENT, current_context, with_registry},
};

/// The trace and the request that caused work which is done later, in a trace of its own: texts that can be kept in a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The span, as [W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header) writes it.
    pub traceparent: Option<String>,
    /// `correlation_id` of the request's log lines.
    pub correlation_id: Option<String>,
}

impl Origin {
    /// The id of the trace, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref()?.split('-').nth(1)
    }

    pub(super) fn span_context(&self) -> SpanContext {
        let name = TRACEPARENT.as_str().to_owned();
        let traceparent = self.traceparent.clone();
        let carrier: HashMap<_, _> = traceparent.map(|text| (name, text)).into_iter().collect();
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        context.span().span_context().clone()
    }
}

impl Tracing {
    /// Where work comes from that the current span causes and that is done later: for [`Tracing::task_from`].
    #[must_use]
    pub fn origin(&self) -> Origin {
        let mut carrier = HashMap::new();
        TraceContextPropagator::new().inject_context(&current_context(), &mut carrier);
        Origin {
            traceparent: carrier.remove(TRACEPARENT.as_str()),
            correlation_id: current_correlation_id(),
        }
    }
}

/// The correlation id on the log lines of the current span.
fn current_correlation_id() -> Option<String> {
    let mut found = None;
    with_registry(&Span::current(), |registry, id| {
        let scope = registry.span(id).into_iter().flat_map(|span| span.scope());
        for span in scope {
            let extensions = span.extensions();
            let fields = extensions.get::<SpanFields>();
            found = fields
                .and_then(SpanFields::correlation_id)
                .map(str::to_owned);
            if found.is_some() {
                return;
            }
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use std::io;

    use time::OffsetDateTime;
    use tracing::subscriber::with_default;

    use super::*;
    use crate::{Incoming, LogFormat, TelemetryOptions, subscriber, tests::PROGRAM};

    /// What a request with this correlation id says of the work that it causes. Nothing is exported: subscribers of tests
    /// that run at once share what they know of each span.
    fn origin_in(format: LogFormat, correlation_id: &str) -> Origin {
        let options = TelemetryOptions::new("notes");
        let tracing = Tracing::new(&options);
        let now = || OffsetDateTime::UNIX_EPOCH;
        let parts = subscriber(PROGRAM, &options, now, format, io::sink).unwrap();
        with_default(parts.0, || {
            let head = http::Request::new(()).into_parts().0;
            let request = tracing.request(Incoming {
                method: "POST",
                template: "/notes",
                correlation_id,
                client_ip: None,
                head: &head,
            });
            request.in_scope(|| tracing.origin())
        })
    }

    #[test]
    fn work_for_later_knows_the_request_it_comes_from() {
        for format in [LogFormat::Json, LogFormat::Pretty] {
            let origin = origin_in(format, "a.b_c-1");

            assert_eq!(origin.correlation_id.as_deref(), Some("a.b_c-1"));
            let traceparent = origin.traceparent.as_deref().unwrap();
            assert!(traceparent.ends_with("-00"), "{traceparent}");
            assert_eq!(origin.trace_id().map(str::len), Some(32));
            assert!(origin.span_context().is_valid());
        }
    }

    #[test]
    fn outside_of_any_request_work_comes_from_nowhere() {
        let tracing = Tracing::new(&TelemetryOptions::new("notes"));

        assert_eq!(tracing.origin(), Origin::default());
        assert!(!Origin::default().span_context().is_valid());
    }
}
