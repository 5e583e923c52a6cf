//! What the OpenTelemetry crates log about themselves: warnings and errors only, and each at most once a minute, so that
//! a dead collector does not fill the log.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{Level, Metadata, callsite::Identifier};

/// The least time between two lines that say the same.
const SILENCE: Duration = Duration::from_mins(1);

/// Whether [`SILENCE`] has passed since `last`. If so, it begins again.
pub(super) fn is_due(last: &mut Option<Instant>) -> bool {
    if last.is_some_and(|last| last.elapsed() < SILENCE) {
        return false;
    }
    *last = Some(Instant::now());
    true
}

/// Lets warnings of the OpenTelemetry crates through, each at most once a minute.
#[derive(Default)]
pub(super) struct InternalLogs(Mutex<HashMap<Identifier, Option<Instant>>>);

impl InternalLogs {
    /// Whether a line comes from those crates.
    pub(super) fn are(metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("opentelemetry")
    }

    /// Whether this line is worth writing, rate aside.
    pub(super) fn are_wanted(metadata: &Metadata<'_>) -> bool {
        // A failed export has been reported by then, with what it lost.
        *metadata.level() <= Level::WARN && !metadata.name().contains("ExportError")
    }

    /// Whether this one is due.
    pub(super) fn are_due(&self, metadata: &Metadata<'_>) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        is_due(said.entry(metadata.callsite()).or_default())
    }
}
