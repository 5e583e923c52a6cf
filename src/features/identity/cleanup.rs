//! The periodic task that removes the rows of sessions that have ended. `App::start_tasks` starts it; it ends none.
//!
//! Every replica runs it; rows that another replica is removing are skipped. It works in batches, so
//! that no statement holds many locks for long, and pauses between batches for as long as the last
//! one took, so that PostgreSQL has at least half of its time for requests.

use std::time::{Duration, Instant};

use chassis_postgres::{Database, DatabaseError};
use tokio_util::sync::CancellationToken;

use super::{tables::sessions, transaction::SingleStatement};
use crate::shared::clock::Clock;

/// The time between two runs.
pub const CLEANUP_INTERVAL: Duration = Duration::from_hours(1);

/// The number of rows that one statement removes.
const BATCH: u32 = 500;

/// Removes all expired and revoked sessions, or as many as it can until it is stopped. Returns how many.
pub async fn clean_up(
    database: &Database,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<u64, DatabaseError> {
    let now = clock.now();
    let mut deleted_count = 0;
    while !stop.is_cancelled() {
        let started = Instant::now();
        let statement = SingleStatement::for_task(database).await?;
        let deleted = sessions::delete_dead(&statement, now, BATCH).await?;
        drop(statement);
        deleted_count += deleted;
        if deleted == 0 {
            break;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(started.elapsed()) => {}
        }
    }
    tracing::info!(deleted_count, "session_cleanup_completed");
    Ok(deleted_count)
}
