//! Log lines: one JSON object each, or one line for a person at a terminal.

use std::{fmt, io::Write};

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

use super::LogFormat;
use crate::clock::Clock;

/// The fields of a span that belong on every line written inside it.
const CARRIED: [&str; 5] = ["method", "path", "correlation_id", "trace_id", "span_id"];

/// Writes events, one a line.
pub(super) struct Lines<W> {
    format: LogFormat,
    service: String,
    clock: Clock,
    writer: W,
}

impl<W> Lines<W> {
    pub(super) fn new(format: LogFormat, service: &str, clock: Clock, writer: W) -> Self {
        Self {
            format,
            service: service.to_owned(),
            clock,
            writer,
        }
    }
}

/// What a span adds to the lines inside it.
#[derive(Default)]
struct Carried(Vec<(&'static str, String)>);

impl Visit for Carried {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if CARRIED.contains(&field.name()) {
            self.0.push((field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if CARRIED.contains(&field.name()) {
            self.0.push((field.name(), value.to_owned()));
        }
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut carried = Carried::default();
        attributes.record(&mut carried);
        if !carried.0.is_empty() {
            span.extensions_mut().insert(carried);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(carried) = span.extensions_mut().get_mut::<Carried>() {
            values.record(carried);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Line::begin(self.format, &self.service, &self.clock, event);
        let mut span = context.event_span(event);
        while let Some(here) = span {
            if let Some(Carried(fields)) = here.extensions().get::<Carried>() {
                for (name, value) in fields {
                    line.field(name, value);
                }
                break;
            }
            span = here.parent();
        }
        event.record(&mut line);
        let line = line.end();
        // Standard output may be closed; there is nobody left to tell.
        let _ = self
            .writer
            .make_writer_for(event.metadata())
            .write_all(&line);
    }
}

/// A line being written. The message comes first, the event's own fields last.
struct Line {
    format: LogFormat,
    head: Vec<u8>,
    rest: Vec<u8>,
}

impl Line {
    fn begin(format: LogFormat, service: &str, clock: &Clock, event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut line = Self {
            format,
            head: Vec::with_capacity(512),
            rest: Vec::with_capacity(256),
        };
        let now = clock.now();
        match format {
            LogFormat::Json => {
                let timestamp = now.format(&Rfc3339).unwrap_or_default();
                write_json(&mut line.head, b"{\"timestamp\":", &timestamp);
                write_json(&mut line.head, b",\"level\":", metadata.level().as_str());
                write_json(&mut line.head, b",\"target\":", metadata.target());
                line.field("service", service);
            }
            LogFormat::Pretty => {
                let (hour, minute, second) = now.time().as_hms();
                let (colour, level) = (colour_of(*metadata.level()), metadata.level());
                let head = format!("{hour:02}:{minute:02}:{second:02} {colour}{level:5}{RESET}");
                line.head.extend_from_slice(head.as_bytes());
            }
        }
        line
    }

    fn message(&mut self, text: &str) {
        match self.format {
            LogFormat::Json => write_json(&mut self.head, b",\"message\":", text),
            LogFormat::Pretty => {
                // Written as JSON would be, without the quotes, so that nothing in it can move the cursor.
                let mut quoted = Vec::new();
                write_json(&mut quoted, b"", text);
                self.head.push(b' ');
                self.head
                    .extend_from_slice(quoted.get(1..quoted.len() - 1).unwrap_or_default());
            }
        }
    }

    fn field<T: serde::Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        match self.format {
            LogFormat::Json => {
                write_json(&mut self.rest, b",", name);
                write_json(&mut self.rest, b":", value);
            }
            LogFormat::Pretty => {
                let start = format!(" {DIM}{name}={RESET}");
                write_json(&mut self.rest, start.as_bytes(), value);
            }
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.head.extend_from_slice(&self.rest);
        let end: &[u8] = match self.format {
            LogFormat::Json => b"}\n",
            LogFormat::Pretty => b"\n",
        };
        self.head.extend_from_slice(end);
        self.head
    }
}

const RESET: &str = "\u{1b}[0m";
const DIM: &str = "\u{1b}[2m";

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        _ => "\u{1b}[34m",
    }
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, before: &[u8], value: &T) {
    out.extend_from_slice(before);
    let length = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(length);
        out.extend_from_slice(b"null");
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message(value);
        } else {
            self.field(field.name(), value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field.name(), &value);
    }
}

/// A line of the same shape for what goes wrong before logs are set up.
#[must_use]
pub fn emergency_line(clock: &Clock, message: &str, error: &str) -> String {
    let timestamp = clock.now().format(&Rfc3339).unwrap_or_default();
    let line = serde_json::json!({
        "timestamp": timestamp,
        "level": "ERROR",
        "target": env!("CARGO_CRATE_NAME"),
        "message": message,
        "service": env!("CARGO_PKG_NAME"),
        "error": Value::from(error),
    });
    line.to_string()
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

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

    fn lines_of(work: impl FnOnce()) -> Vec<Value> {
        let captured = Captured::default();
        let writer = captured.clone();
        let layer = Lines::new(LogFormat::Json, "notes", Clock::system(), move || {
            writer.clone()
        });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = captured.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
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
    fn whatever_is_logged_stays_on_one_line() {
        let lines = lines_of(|| {
            tracing::info!(agent = "a\n{\"level\":\"fatal\"}\u{1b}[31m\u{2028}", "seen");
        });

        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["level"], "INFO");
    }
}
