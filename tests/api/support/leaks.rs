//! Watches everything that is logged and measured for what must never be there.

use std::{
    io,
    sync::{Mutex, Once, PoisonError},
};

use chassis_telemetry::LogFormat;
use http::StatusCode;
use warp_skeleton::{
    program::PROGRAM,
    settings::{self, Settings},
    shared::clock::Clock,
};

use super::marks;

/// Every field and message that a line may have, in tables.
const REFERENCE: &str = include_str!("../../../docs/reference/logs.md");

/// Everything that the service's own crates log.
const LOG_LEVEL: &str = "info,request=debug,warp_skeleton=trace,chassis_http=trace,chassis_postgres=trace,\
                         chassis_server=trace,chassis_settings=trace,chassis_telemetry=trace";

static LEAKED: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static WATCH: Once = Once::new();

/// Every log line of this process goes through here from now on.
pub fn watch() {
    WATCH.call_once(|| {
        let values = settings::values([("LOG_LEVEL", LOG_LEVEL)]).unwrap();
        let settings = Settings::read(&values).unwrap().telemetry;
        let clock = Clock::system();
        let (subscriber, provider) = chassis_telemetry::subscriber(
            PROGRAM,
            &settings,
            move || clock.now(),
            LogFormat::Json,
            || Watched,
        )
        .unwrap();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        chassis_telemetry::log_panics_beside(std::panic::take_hook());
        // Its spans are made until the process ends.
        std::mem::forget(provider);
    });
}

/// Notes a text in which a mark stands.
pub fn inspect(place: &str, text: &str) {
    note(marks::mark_in(text), place, text);
}

/// Looks at a reply: no secret in any, and nobody's address or token in a refusal.
pub fn inspect_reply(status: StatusCode, text: &str) {
    let (kind, found) = if status.is_client_error() || status.is_server_error() {
        ("a refusal", marks::mark_in(text))
    } else {
        ("a reply", marks::secret_in(text))
    };
    note(found, kind, text);
}

fn note(found: Option<&str>, place: &str, text: &str) {
    if let Some(mark) = found {
        let mut leaked = LEAKED.lock().unwrap_or_else(PoisonError::into_inner);
        // Its beginning: the line that reports leaks leaks, too, and would double with each test.
        let beginning: String = text.chars().take(400).collect();
        leaked.push(format!("{mark} in {place}: {beginning}"));
    }
}

/// Notes a line of ours that says something nobody can look up.
fn look_up(line: &str) {
    let read: serde_json::Value =
        serde_json::from_str(line).expect("every line is one JSON object");
    let ours = ["warp_skeleton", "chassis_", "request", "panic"];
    let target = read["target"].as_str().unwrap_or_default();
    if !ours.iter().any(|own| target.starts_with(own)) {
        return;
    }
    let fields = read.as_object().expect("a line is an object").keys();
    let message = read["message"].as_str().expect("a line has a message");
    for name in fields.map(String::as_str).chain([message]) {
        if !REFERENCE.contains(&format!("\n| `{name}` |")) {
            let mut leaked = LEAKED.lock().unwrap_or_else(PoisonError::into_inner);
            leaked.push(format!("docs/reference/logs.md lacks {name}: {line}"));
        }
    }
}

/// Fails when anything leaked so far, in whichever test.
pub fn assert_none() {
    // A copy: the panic is logged, and what is logged is inspected, which takes the lock again.
    let leaked = LEAKED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    assert!(leaked.is_empty(), "leaked: {leaked:#?}");
}

/// The log lines of the request with this correlation id, parsed.
pub fn lines_of(correlation_id: &str) -> Vec<serde_json::Value> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines
        .iter()
        .filter(|line| line.contains(correlation_id))
        .map(|line| serde_json::from_str(line).expect("every line is one JSON object"))
        .collect()
}

struct Watched;

impl io::Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes).into_owned();
        look_up(&line);
        inspect("the log", &line);
        LINES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
