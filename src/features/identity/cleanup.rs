//! Dead sessions are removed, a few at a time, by every replica at its leisure.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{tables::sessions, transaction::SingleStatement};
use crate::{
    clock::Clock,
    database::{Database, DatabaseError},
    telemetry::{self, Tracing},
};

/// How often to look.
const INTERVAL: Duration = Duration::from_hours(1);

/// How many rows one statement removes: few enough that nobody waits for it.
const BATCH: u32 = 500;

/// Cleans up now and every hour, until stopped.
pub async fn run(database: Database, clock: Clock, tracing: Tracing, stop: CancellationToken) {
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let span = tracing.task("session_cleanup");
        let outcome = clean_up(&database, &clock, &stop)
            .instrument(span.clone())
            .await;
        span.in_scope(|| match outcome {
            Ok(deleted_count) => tracing::info!(deleted_count, "session_cleanup_completed"),
            Err(error) => {
                telemetry::fail(&span);
                let error = telemetry::chain(&error);
                tracing::warn!(error, "session_cleanup_failed");
            }
        });
    }
}

/// Removes every session that is dead now, unless it is stopped in between. Returns how many.
pub async fn clean_up(
    database: &Database,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<u64, DatabaseError> {
    let now = clock.now();
    let mut total = 0;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        let statement = SingleStatement::for_task(database).await?;
        let deleted = sessions::delete_dead(&statement, now, BATCH).await?;
        drop(statement);
        total += deleted;
        if deleted == 0 {
            break;
        }
        // As long a pause as it took, so that PostgreSQL has at least half of its time for others.
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(begun.elapsed()) => {}
        }
    }
    Ok(total)
}
