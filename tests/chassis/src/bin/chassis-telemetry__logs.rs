//! A request, a call to another service inside it, and a panic: `cargo run -p chassis-telemetry --example logs`.
//!
//! Log lines go to standard output, finished spans to standard error.

#![expect(
    clippy::disallowed_methods,
    reason = "a program has to ask the machine for the time somewhere"
)]

use std::{error::Error, io, time::Duration};

use chassis_telemetry::{
    Build, Incoming, LogStream, Program, Telemetry, TelemetryOptions, Tracing, end_request_span,
    log_panics, record_user,
};
use http::{Request, Response};
use time::OffsetDateTime;
use tracing::Instrument;

const PROGRAM: Program = Program {
    build: Build {
        name: "notes",
        version: "1.0.0",
        revision: "unknown",
    },
    span_crates: &["logs"],
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut options = TelemetryOptions::new("notes");
    options.trace_console = true;
    let telemetry = Telemetry::start(
        PROGRAM,
        &options,
        OffsetDateTime::now_utc,
        LogStream::Stdout,
    )?;
    log_panics();
    let tracing = Tracing::new(&options);

    serve(&tracing).await?;
    let task = tracing.task("clean_up");
    let panicked = tokio::spawn(async { panic!("out of cheese") }.instrument(task)).await;
    assert!(panicked.is_err());

    tokio::task::spawn_blocking(move || telemetry.shutdown(Duration::from_secs(1))).await?;
    Ok(())
}

/// What a router does with one request.
async fn serve(tracing: &Tracing) -> Result<(), Box<dyn Error>> {
    let (head, ()) = Request::get("/notes/7").body(())?.into_parts();
    let span = tracing.request(Incoming {
        method: "GET",
        template: "/notes/{id}",
        correlation_id: "0d03d665-841b-46fc-b0f3-2e9fb6cc3c4f",
        client_ip: None,
        head: &head,
    });
    let handled = async {
        record_user("01a213bd-21ee-729a-9c9e-be6abf7107bc");
        let request = Request::get("http://prices.example/today").body(())?;
        let failed = tracing.call(request, async |_| {
            Err::<Response<()>, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
        });
        if let Err(error) = failed.await {
            tracing::warn!(%error, "prices_unavailable");
        }
        tracing::info!(target: "request", status_code = 200, duration_ms = 0.7, "request_completed");
        Ok(())
    };
    let outcome = handled.instrument(span.clone()).await;
    end_request_span(&span, 200, None);
    outcome
}
