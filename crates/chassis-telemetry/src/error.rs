//! Why telemetry cannot be started, and errors as one line of text.

use std::{error::Error, io, path::PathBuf};

use opentelemetry_otlp::ExporterBuildError;
use tracing::subscriber::SetGlobalDefaultError;

/// Why telemetry cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The options of the exporter contradict each other.
    #[error("spans cannot be exported")]
    Exporter(#[source] ExporterBuildError),
    /// The file with the collector's certificates cannot be used.
    #[error("OTEL_EXPORTER_OTLP_CERTIFICATE: {} {problem}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The system's certificates cannot be loaded, which an `https` collector needs.
    #[error("the system's certificates cannot be loaded")]
    SystemCertificates(#[source] io::Error),
    /// TLS cannot be set up.
    #[error("TLS for the exporter cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The thread that writes log lines cannot be started.
    #[error("the thread that writes log lines cannot be started")]
    Thread(#[source] io::Error),
    /// The process already has a subscriber.
    #[error("telemetry was started before")]
    AlreadyStarted(#[source] SetGlobalDefaultError),
}

/// An error and its sources on one line, separated by `: `.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
