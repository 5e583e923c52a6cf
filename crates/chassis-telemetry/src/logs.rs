//! Log lines: one JSON object each, or one line for a person at a terminal.
//!
//! A line is put together in memory that its thread keeps, and what a request
//! adds to its lines is written once a request, so that logging asks the
//! allocator for nothing.

use std::{cell::Cell, fmt, io::Write};

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

use super::LogFormat;
use crate::clock::Clock;

/// The fields of a span that belong on every line written inside it, and what they are called there.
const CARRIED: [(&str, &str); 5] = [
    ("correlation_id", "correlation_id"),
    ("http.request.method", "method"),
    ("http.route", "path"),
    ("user.id", "caller_id"),
    ("task", "task"),
];

/// Whether lines inside this span carry something of it.
pub(super) fn is_carried(span: &Metadata<'_>) -> bool {
    let fields = span.fields();
    CARRIED.iter().any(|(name, _)| fields.field(name).is_some())
}

/// Writes events, one a line.
pub(super) struct Lines<W> {
    format: LogFormat,
    /// What every line says after its message, written once.
    service: Vec<u8>,
    clock: Clock,
    writer: W,
}

impl<W> Lines<W> {
    pub(super) fn new(format: LogFormat, service: &str, clock: Clock, writer: W) -> Self {
        let mut field = Vec::new();
        if format == LogFormat::Json {
            write_field(format, &mut field, "service", service);
        }
        Self {
            format,
            service: field,
            clock,
            writer,
        }
    }
}

/// What a span adds to the lines inside it, as it will stand there.
pub(super) struct Carried {
    format: LogFormat,
    fields: Vec<u8>,
}

impl Carried {
    /// Adds one more field.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        write_field(self.format, &mut self.fields, name, value);
    }
}

impl Visit for Carried {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if let Some((_, name)) = CARRIED.iter().find(|(name, _)| *name == field.name()) {
            write_field(self.format, &mut self.fields, name, &AsText(value));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some((_, name)) = CARRIED.iter().find(|(name, _)| *name == field.name()) {
            self.push(name, value);
        }
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !is_carried(attributes.metadata()) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut carried = Carried {
            format: self.format,
            fields: Vec::with_capacity(256),
        };
        attributes.record(&mut carried);
        span.extensions_mut().insert(carried);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(carried) = span.extensions_mut().get_mut::<Carried>() {
            values.record(carried);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // Taken, not borrowed: a value that logs while it is formatted begins a line of its own.
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.begin(self.format, &self.clock, event);
        line.rest.extend_from_slice(&self.service);
        let mut span = context.event_span(event);
        while let Some(here) = span {
            if let Some(carried) = here.extensions().get::<Carried>() {
                line.rest.extend_from_slice(&carried.fields);
                break;
            }
            span = here.parent();
        }
        event.record(&mut line);
        // Standard output may be closed; there is nobody left to tell.
        let _ = self
            .writer
            .make_writer_for(event.metadata())
            .write_all(line.end());
        // When the thread is ending, so does its memory.
        let _ = LINE.try_with(|kept| kept.set(line));
    }
}

thread_local! {
    /// The memory this thread makes its lines in.
    static LINE: Cell<Line> = Cell::default();
}

/// A line being written. The message comes first, the event's own fields last.
#[derive(Default)]
struct Line {
    format: LogFormat,
    head: Vec<u8>,
    rest: Vec<u8>,
    second: Second,
}

impl Line {
    fn begin(&mut self, format: LogFormat, clock: &Clock, event: &Event<'_>) {
        let metadata = event.metadata();
        self.format = format;
        self.head.clear();
        self.rest.clear();
        let now = clock.now();
        match format {
            LogFormat::Json => {
                self.head.extend_from_slice(b"{\"timestamp\":\"");
                self.second.write(&mut self.head, now);
                self.head.extend_from_slice(b"\",\"level\":\"");
                self.head
                    .extend_from_slice(metadata.level().as_str().as_bytes());
                self.head.push(b'"');
                write_field(format, &mut self.head, "target", metadata.target());
            }
            LogFormat::Pretty => {
                let (hour, minute, second) = now.time().as_hms();
                let (colour, level) = (colour_of(*metadata.level()), metadata.level());
                let head = format!("{hour:02}:{minute:02}:{second:02} {colour}{level:5}{RESET}");
                self.head.extend_from_slice(head.as_bytes());
            }
        }
    }

    fn message(&mut self, text: &(impl serde::Serialize + ?Sized)) {
        match self.format {
            LogFormat::Json => write_field(self.format, &mut self.head, "message", text),
            LogFormat::Pretty => {
                // Written as JSON would be, without the quotes, so that nothing in it can move the cursor.
                let mut quoted = Vec::new();
                write_json(&mut quoted, text);
                self.head.push(b' ');
                self.head
                    .extend_from_slice(quoted.get(1..quoted.len() - 1).unwrap_or_default());
            }
        }
    }

    fn field<T: serde::Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        if field.name() == "message" {
            self.message(value);
        } else {
            write_field(self.format, &mut self.rest, field.name(), value);
        }
    }

    fn end(&mut self) -> &[u8] {
        self.head.extend_from_slice(&self.rest);
        let end: &[u8] = match self.format {
            LogFormat::Json => b"}\n",
            LogFormat::Pretty => b"\n",
        };
        self.head.extend_from_slice(end);
        &self.head
    }
}

const RESET: &str = "\u{1b}[0m";

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        _ => "\u{1b}[34m",
    }
}

/// Writes a field with what separates it from the one before.
fn write_field<T>(format: LogFormat, out: &mut Vec<u8>, name: &str, value: &T)
where
    T: serde::Serialize + ?Sized,
{
    let (before, after): (&str, &str) = match format {
        // Names are written in the program: none needs escaping.
        LogFormat::Json => (",\"", "\":"),
        LogFormat::Pretty => (" \u{1b}[2m", "=\u{1b}[0m"),
    };
    for part in [before, name, after] {
        out.extend_from_slice(part.as_bytes());
    }
    write_json(out, value);
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let length = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(length);
        out.extend_from_slice(b"null");
    }
}

/// The last second a line was written in, as text: most lines share it with the one before.
#[derive(Default)]
struct Second {
    timestamp: i64,
    text: String,
}

impl Second {
    /// Writes a time as RFC 3339 has it, in UTC, to the microsecond.
    fn write(&mut self, out: &mut Vec<u8>, now: OffsetDateTime) {
        let timestamp = now.unix_timestamp();
        if self.timestamp != timestamp || self.text.is_empty() {
            self.timestamp = timestamp;
            let whole = now.replace_nanosecond(0).unwrap_or(now);
            self.text = whole.format(&Rfc3339).unwrap_or_default();
            self.text.truncate("1970-01-01T00:00:00".len());
        }
        out.extend_from_slice(self.text.as_bytes());
        let mut rest = now.microsecond();
        let mut digits = *b".000000Z";
        for digit in digits[1..7].iter_mut().rev() {
            *digit += u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        out.extend_from_slice(&digits);
    }
}

/// Something that only formats, as a JSON string, without a string in between.
struct AsText<'a>(&'a dyn fmt::Debug);

impl serde::Serialize for AsText<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, &AsText(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, &value);
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

    #[test]
    fn a_timestamp_is_the_one_that_rfc_3339_has() {
        let mut second = Second::default();
        for nanoseconds in [0, 999, 1_000, 123_456_789, 999_999_999, 1_000_000_000] {
            let time = OffsetDateTime::UNIX_EPOCH + time::Duration::nanoseconds(nanoseconds);
            let mut written = Vec::new();

            second.write(&mut written, time);

            let written = String::from_utf8(written).unwrap();
            let read = OffsetDateTime::parse(&written, &Rfc3339).unwrap();
            assert_eq!(
                read.unix_timestamp_nanos(),
                i128::from(nanoseconds / 1000 * 1000)
            );
            assert_eq!(written.len(), "1970-01-01T00:00:00.000000Z".len());
        }
    }
}
