//! Panics as log lines.

use std::panic::PanicHookInfo;

/// Makes each panic one log line, `panicked`, with the fields of the span it happens in, in place of the default output.
pub fn log_panics() {
    log_panics_beside(Box::new(|_| {}));
}

/// Makes each panic a log line, and then calls another hook.
pub fn log_panics_beside(other: Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>) {
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or("a value that is not text");
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(target: "panic", location, panic = message, "panicked");
        other(panic);
    }));
}
