//! Buckets that are full again are removed, by every replica at its leisure.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::tables::rate_limits;
use crate::{
    database::{Database, DatabaseError},
    telemetry::{self, Tracing},
};

/// How often to look: a few times as long as a bucket takes to fill.
const INTERVAL: Duration = Duration::from_mins(1);

/// How many rows one statement removes.
const BATCH: u32 = 1000;

/// Sweeps every minute, until stopped.
pub async fn run(database: Database, tracing: Tracing, stop: CancellationToken) {
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let span = tracing.task("rate_limit_sweep");
        let swept = sweep(&database, &stop).instrument(span.clone()).await;
        if let Err(error) = swept {
            telemetry::fail(&span);
            let error = telemetry::chain(&error);
            span.in_scope(|| tracing::warn!(error, "rate_limit_sweep_failed"));
        }
    }
}

/// Removes every bucket that is full now, unless it is stopped in between. Returns how many.
pub async fn sweep(database: &Database, stop: &CancellationToken) -> Result<u64, DatabaseError> {
    let mut total = 0;
    while !stop.is_cancelled() {
        let connection = database.connection().await?;
        let deleted = rate_limits::delete_full(&connection, BATCH).await?;
        total += deleted;
        if deleted < u64::from(BATCH) {
            break;
        }
    }
    Ok(total)
}
