//! Which spans OpenTelemetry gets to see.
//!
//! `tracing-opentelemetry` builds a span whether or not its trace is sampled, which costs more than a small request.
//! So the decision is made before: this filter of the layer lets through the span that begins a recorded trace (it has
//! the target [`RECORDED`]), and of the others those of the listed crates that are inside a span that was let through.
//! A disabled span is not made, so that the second rule holds for the whole tree.

use tracing::{Metadata, Subscriber, subscriber::Interest};
use tracing_subscriber::{
    layer::{Context, Filter},
    registry::LookupSpan,
};

use super::{
    TelemetryOptions,
    spans::{RECORDED, UNRECORDED},
};

/// The filter of the layer that records spans.
pub(super) struct Recorded {
    /// Whether finished spans go anywhere. Leaving the layer out instead would make the registry keep all spans.
    exports: bool,
    crates: &'static [&'static str],
}

impl Recorded {
    pub(super) fn new(options: &TelemetryOptions, crates: &'static [&'static str]) -> Self {
        Self {
            exports: options.exports(),
            crates,
        }
    }

    fn begins(metadata: &Metadata<'_>) -> bool {
        metadata.target() == RECORDED
    }

    /// Whether this is a span of a crate that is recorded: one that is listed, or this one.
    fn is_listed(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let name = target.split_once("::").map_or(target, |(name, _)| name);
        metadata.is_span() && (name == env!("CARGO_CRATE_NAME") || self.crates.contains(&name))
    }
}

impl<S> Filter<S> for Recorded
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        // The current span is the nearest that passed this filter: there is none inside an unrecorded trace.
        self.exports
            && (Self::begins(metadata)
                || self.is_listed(metadata) && context.lookup_current().is_some())
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !self.exports {
            Interest::never()
        } else if Self::begins(metadata) {
            Interest::always()
        } else if self.is_listed(metadata) && metadata.target() != UNRECORDED {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{Id, info_span, span::Attributes, subscriber::with_default};
    use tracing_subscriber::{Layer, layer::SubscriberExt, registry::Scope};

    use super::*;
    use crate::{Tracing, tests::options};

    /// Notes each span that is made, as a path from the beginning of its trace.
    #[derive(Clone, Default)]
    struct Made(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Made {
        fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
            let scope = context.span_scope(id).into_iter();
            let path = scope.flat_map(Scope::from_root);
            let names: Vec<_> = path.map(|span| span.name()).collect();
            self.0.lock().unwrap().push(names.join(" > "));
        }
    }

    fn spans_with(ratio: f64) -> Vec<String> {
        let mut options = options();
        options.trace_console = true;
        options.sampler.ratio = ratio;
        let made = Made::default();
        let filter = Recorded::new(&options, &["notes", "notes_database"]);
        let layer = made.clone().with_filter(filter);
        with_default(tracing_subscriber::registry().with(layer), || {
            let _ = info_span!(target: "notes::outside", "outside");
            let _task = Tracing::new(&options).task("clean_up").entered();
            let _ = info_span!(target: "hyper::client", "of a library");
            let _ = info_span!(target: "notes_elsewhere", "of a crate whose name begins alike");
            let _hash = info_span!(target: "notes::hasher", "hash").entered();
            let _ = info_span!(target: "notes_database::statement", "sql");
            let _ = info_span!("http_call");
        });
        made.0.lock().unwrap().clone()
    }

    #[test]
    fn inside_a_recorded_trace_the_spans_of_listed_crates_are_made() {
        let expected = [
            "task",
            "task > hash",
            "task > hash > sql",
            "task > hash > http_call",
        ];
        assert_eq!(spans_with(1.0), expected);
    }

    #[test]
    fn inside_one_that_is_not_recorded_none_is_made() {
        assert_eq!(spans_with(0.0), [""; 0]);
    }
}
