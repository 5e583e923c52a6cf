//! The periodic task that removes keys which have been dead for long. Every replica runs it; rows that another one is removing
//! are skipped.

use std::time::Duration;

use chassis_postgres::{Database, DatabaseError};
use tokio_util::sync::CancellationToken;

use super::tables::api_keys;
use crate::shared::clock::Clock;

/// The time between two runs.
pub const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// For how long a dead key is kept.
const KEEP_DEAD: time::Duration = time::Duration::days(90);

/// The number of rows that one statement removes.
const BATCH: u16 = 1000;

/// Removes all keys that have been dead for 90 days, or as many as it can until it is stopped. Returns how many.
///
/// # Errors
///
/// When a batch cannot be removed; those before it are gone.
pub async fn sweep(
    database: &Database,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<u64, DatabaseError> {
    let since = clock.now() - KEEP_DEAD;
    let mut total = 0;
    while !stop.is_cancelled() {
        let connection = database.connection().await?;
        let deleted = api_keys::sweep(&connection, since, BATCH.into()).await?;
        total += deleted;
        if deleted < u64::from(BATCH) {
            break;
        }
    }
    Ok(total)
}
