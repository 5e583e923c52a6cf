//! Log lines: one JSON object each, or coloured text for a terminal.
//!
//! [`LogLayer`] is a layer of `tracing-subscriber`. Its fields come in this order: timestamp, level, target, message,
//! service, those of the span, those of the event. The span's are the ones listed in [`SPAN_FIELDS`], of the nearest
//! enclosing span that has any of them. They are formatted when they are recorded, which is once a request, and
//! [`SpanFields`] keeps the text in the span's extensions; a line copies it. Fields that are recorded later, like the
//! user's id, are appended, and appear on the lines after that.

use std::{cell::Cell, fmt, io::Write};

use opentelemetry::{SpanId, TraceId};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

use super::{
    Build, LogFormat,
    line::{Line, write_field},
};

/// The first of a span's fields on a line; the ids of the trace follow it.
const CORRELATION_ID: &str = "correlation_id";

/// The fields of a span that are on every line inside it, and their names there.
const SPAN_FIELDS: [(&str, &str); 7] = [
    (CORRELATION_ID, CORRELATION_ID),
    ("http.request.method", "method"),
    ("http.route", "path"),
    ("client.network", "client_network"),
    ("user_agent.hash", "user_agent_hash"),
    ("user.id", "caller_id"),
    ("task", "task"),
];

/// Whether lines inside this span have fields of it.
pub(super) fn adds_fields(span: &Metadata<'_>) -> bool {
    let fields = span.fields();
    SPAN_FIELDS
        .iter()
        .any(|(name, _)| fields.field(name).is_some())
}

/// Writes events, one a line.
pub(super) struct LogLayer<N, W> {
    format: LogFormat,
    /// The field `service`, formatted once.
    service: Vec<u8>,
    /// The time of a line.
    now: N,
    writer: W,
}

impl<N, W> LogLayer<N, W> {
    pub(super) fn new(format: LogFormat, service: &str, now: N, writer: W) -> Self {
        let mut field = Vec::new();
        if format == LogFormat::Json {
            write_field(format, &mut field, "service", service);
        }
        Self {
            format,
            service: field,
            now,
            writer,
        }
    }
}

/// The fields that a span adds to the lines inside it, formatted.
pub(super) struct SpanFields {
    format: LogFormat,
    fields: Vec<u8>,
    /// Where the ids of the trace belong: after the correlation id.
    ids_at: usize,
}

impl SpanFields {
    /// The correlation id, out of the text that was made of it: it holds nothing that has to be escaped.
    pub(super) fn correlation_id(&self) -> Option<&str> {
        let written = str::from_utf8(self.fields.get(..self.ids_at)?).ok()?;
        written.strip_suffix('"')?.rsplit('"').next()
    }

    /// Adds the ids of the trace and of the span, which are known only after the span was made.
    pub(super) fn set_ids(&mut self, trace_id: TraceId, span_id: SpanId) {
        let mut ids = Vec::with_capacity(96);
        write_field(
            self.format,
            &mut ids,
            "trace_id",
            &format_args!("{trace_id}"),
        );
        write_field(self.format, &mut ids, "span_id", &format_args!("{span_id}"));
        self.fields.splice(self.ids_at..self.ids_at, ids);
    }

    fn push<T: serde::Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        let found = SPAN_FIELDS.iter().find(|(name, _)| *name == field.name());
        if let Some((_, name)) = found {
            write_field(self.format, &mut self.fields, name, value);
            if *name == CORRELATION_ID {
                self.ids_at = self.fields.len();
            }
        }
    }
}

impl Visit for SpanFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value);
    }
}

impl<S, N, W> Layer<S> for LogLayer<N, W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: Fn() -> OffsetDateTime + 'static,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !adds_fields(attributes.metadata()) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut fields = SpanFields {
            format: self.format,
            fields: Vec::with_capacity(256),
            ids_at: 0,
        };
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<SpanFields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // Taken, not borrowed: a value that logs while it is formatted begins a line of its own.
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.begin(self.format, (self.now)(), event.metadata());
        line.append(&self.service);
        let mut span = context.event_span(event);
        while let Some(here) = span {
            if let Some(of_span) = here.extensions().get::<SpanFields>() {
                line.append(&of_span.fields);
                break;
            }
            span = here.parent();
        }
        event.record(&mut line);
        // The writer counts what it cannot write; an event has no way to report an error.
        let _ = self
            .writer
            .make_writer_for(event.metadata())
            .write_all(line.end());
        // Fails only while the thread ends, when its thread-local variables are gone.
        let _ = LINE.try_with(|kept| kept.set(line));
    }
}

thread_local! {
    /// The buffers this thread formats its lines in, kept so that a line allocates nothing.
    static LINE: Cell<Line> = Cell::default();
}

/// A JSON line with the same fields, for a failure before [`super::Telemetry::start`].
#[must_use]
pub fn emergency_line(build: Build, now: OffsetDateTime, message: &str, error: &str) -> String {
    failure_line(&build.crate_name(), Some(build.name), now, message, error)
}

/// A JSON line about a failure to write lines the usual way.
pub(super) fn failure_line(
    target: &str,
    service: Option<&str>,
    now: OffsetDateTime,
    message: &str,
    error: &str,
) -> String {
    let mut line = serde_json::json!({
        "timestamp": now.format(&Rfc3339).unwrap_or_default(),
        "level": "ERROR",
        "target": target,
        "message": message,
    });
    if let Some(service) = service {
        line["service"] = service.into();
    }
    line["error"] = error.into();
    line.to_string()
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
    }

    fn text_of(work: impl FnOnce()) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let layer = LogLayer::new(LogFormat::Json, "notes", now, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn lines_of(work: impl FnOnce()) -> Vec<Value> {
        let text = text_of(work);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_carries_the_names_of_its_request() {
        let lines = lines_of(|| {
            let span = tracing::info_span!("request", correlation_id = "abc", other = 1);
            let _entered = span.entered();
            let _inner = tracing::info_span!("sql").entered();
            tracing::warn!(count = 3_u64, "slow");
        });

        assert_eq!(lines[0]["correlation_id"], "abc");
        assert_eq!(lines[0]["message"], "slow");
        assert_eq!(lines[0]["count"], 3);
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[0]["service"], "notes");
        assert!(lines[0].get("other").is_none());
    }

    #[test]
    fn fields_come_in_the_promised_order_and_later_ones_after_those_of_the_span() {
        let text = text_of(|| {
            let span = tracing::info_span!(
                "request",
                correlation_id = "abc",
                http.request.method = "GET",
                http.route = "/notes",
                user.id = tracing::field::Empty,
            );
            span.with_subscriber(|(id, dispatch)| {
                let registry = dispatch
                    .downcast_ref::<tracing_subscriber::Registry>()
                    .unwrap();
                let span = registry.span(id).unwrap();
                let mut extensions = span.extensions_mut();
                let fields = extensions.get_mut::<SpanFields>().unwrap();
                fields.set_ids(TraceId::from(0xa1), SpanId::from(0xb2));
            });
            let _entered = span.enter();
            span.record("user.id", 7);
            tracing::info!(target: "request", status_code = 200, duration_ms = 1.5, "request_completed");
        });

        assert_eq!(
            text,
            "{\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"INFO\",\"target\":\"request\",\
             \"message\":\"request_completed\",\"service\":\"notes\",\"correlation_id\":\"abc\",\
             \"trace_id\":\"000000000000000000000000000000a1\",\"span_id\":\"00000000000000b2\",\
             \"method\":\"GET\",\"path\":\"/notes\",\"caller_id\":\"7\",\
             \"status_code\":200,\"duration_ms\":1.5}\n"
        );
    }

    #[test]
    fn an_event_stays_on_one_line() {
        let lines = lines_of(|| {
            tracing::info!(agent = "a\n{\"level\":\"fatal\"}\u{1b}[31m\u{2028}", "seen");
        });

        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["level"], "INFO");
    }

    #[test]
    fn a_value_that_logs_while_it_is_formatted_does_not_break_the_line() {
        struct Talkative;
        impl fmt::Debug for Talkative {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                tracing::info!("inner");
                f.write_str("talkative")
            }
        }

        let lines = lines_of(|| tracing::info!(value = ?Talkative, "outer"));

        let outer = lines.last().unwrap();
        assert_eq!(outer["message"], "outer");
        assert_eq!(outer["value"], "talkative");
    }
}
