//! The periodic task that erases the masks of successors which refresh tokens may not have again any more.
//!
//! The next rotation of a session does the same for that session; this is for those that have none. Every replica runs it;
//! rows that another replica is at are skipped. `refresh_token.rs` says what a mask is.

use std::time::Duration;

use chassis_postgres::{Database, DatabaseError};
use tokio_util::sync::CancellationToken;

use super::{tables::refresh_tokens, transaction::SingleStatement};

/// The time between two runs.
pub const MASK_SWEEP_INTERVAL: Duration = Duration::from_mins(1);

/// The number of rows that one statement changes.
const BATCH: u32 = 1000;

/// Erases all masks that are past, or as many as it can until it is stopped. Returns how many.
pub async fn sweep_masks(
    database: &Database,
    stop: &CancellationToken,
) -> Result<u64, DatabaseError> {
    let mut total = 0;
    while !stop.is_cancelled() {
        let statement = SingleStatement::for_task(database).await?;
        let erased = refresh_tokens::erase_masks(&statement, BATCH).await?;
        total += erased;
        if erased < u64::from(BATCH) {
            break;
        }
    }
    Ok(total)
}
