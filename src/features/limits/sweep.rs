//! The periodic task that removes the rows of buckets which are full again.
//!
//! A bucket without a row counts as full, so a removed row changes nothing. Every replica runs it;
//! rows that another replica is removing are skipped.

use std::time::Duration;

use chassis_postgres::{Database, DatabaseError};
use tokio_util::sync::CancellationToken;

use super::tables::rate_limits;

/// The time between two runs: a few times as long as a bucket takes to fill.
pub const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

/// The number of rows that one statement removes.
const BATCH: u32 = 1000;

/// Removes all buckets that are full now, or as many as it can until it is stopped. Returns how many.
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
