//! The text of one log line.

use std::fmt;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Level, Metadata,
    field::{Field, Visit},
};

use super::LogFormat;

/// A line being formatted: a head up to the message, then everything else.
///
/// Two buffers, because the message is one of the event's fields, which are visited after those of the span.
#[derive(Default)]
pub(super) struct Line {
    format: LogFormat,
    head: Vec<u8>,
    rest: Vec<u8>,
    second: Second,
}

impl Line {
    /// Starts over, with timestamp, level and target.
    pub(super) fn begin(
        &mut self,
        format: LogFormat,
        now: OffsetDateTime,
        metadata: &Metadata<'_>,
    ) {
        self.format = format;
        self.head.clear();
        self.rest.clear();
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

    /// Appends fields that are formatted already.
    pub(super) fn append(&mut self, fields: &[u8]) {
        self.rest.extend_from_slice(fields);
    }

    fn message(&mut self, text: &(impl serde::Serialize + ?Sized)) {
        match self.format {
            LogFormat::Json => write_field(self.format, &mut self.head, "message", text),
            LogFormat::Pretty => {
                // A JSON string without its quotes, so that no control character reaches the terminal.
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

    /// The whole line.
    pub(super) fn end(&mut self) -> &[u8] {
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

/// Appends a field and what separates it from the one before.
pub(super) fn write_field<T>(format: LogFormat, out: &mut Vec<u8>, name: &str, value: &T)
where
    T: serde::Serialize + ?Sized,
{
    let (before, after): (&str, &str) = match format {
        // Names are identifiers in the program, so none needs escaping.
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

/// The last second a line was written in, as text: most lines share it with the one before, and formatting it costs
/// more than the rest of a short line.
#[derive(Default)]
struct Second {
    timestamp: i64,
    text: String,
}

impl Second {
    /// Appends a time in UTC as RFC 3339 writes it, to the microsecond.
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

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, &format_args!("{value:?}"));
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

#[cfg(test)]
mod tests {
    use super::*;

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
