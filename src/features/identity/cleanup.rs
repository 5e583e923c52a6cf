//! The periodic task that removes the rows of sessions that have ended. `App::start_tasks` starts it; it ends none.
//!
//! Every replica runs it; rows that another replica is removing are skipped. It works in batches, so
//! that no statement holds many locks for long, and pauses between batches for as long as the last
//! one took, so that PostgreSQL has at least half of its time for requests.
//!
//! # What bounds a batch
//!
//! Rows do, and not sessions: one that was refreshed for months has thousands of tokens. So the tokens of the sessions that
//! ended first are removed first, so many at once, and then the sessions of which none is left.
//!
//! # When a batch fails
//!
//! A batch that fails is tried again smaller, down to one session, and if that fails too it is skipped until the next run:
//! a table of a fork may refer to it, for example. So what cannot be removed keeps nothing else from it. An outage ends the
//! run, and the next interval is the next try.

use std::time::{Duration, Instant};

use chassis_postgres::{Database, DatabaseError};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{
    tables::{
        refresh_tokens,
        sessions::{self, Dead, DeadSessions},
    },
    transaction::SingleStatement,
};
use crate::shared::clock::Clock;

/// The time between two runs.
pub const CLEANUP_INTERVAL: Duration = Duration::from_hours(1);

/// The number of sessions that one statement removes.
const SESSIONS: u32 = 500;

/// The number of tokens that one statement removes.
const TOKENS: u32 = 5000;

/// The number of sessions that are skipped before a run gives up: whatever is wrong is wrong with all of them.
const MAX_SKIPPED: u32 = 100;

/// Removes all expired and revoked sessions, or as many as it can until it is stopped. Returns how many.
pub async fn clean_up(
    database: &Database,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<u64, DatabaseError> {
    let now = clock.now();
    let mut deleted_count = 0;
    for kind in [Dead::Expired, Dead::Revoked] {
        deleted_count += remove(database, kind, now, stop).await?;
    }
    tracing::info!(deleted_count, "session_cleanup_completed");
    Ok(deleted_count)
}

/// Removes the sessions that have ended in this way.
async fn remove(
    database: &Database,
    kind: Dead,
    now: OffsetDateTime,
    stop: &CancellationToken,
) -> Result<u64, DatabaseError> {
    let mut batch = Batch::whole(kind);
    let mut total = 0;
    while !stop.is_cancelled() {
        let started = Instant::now();
        match batch.remove(database, now).await {
            Ok(Removed {
                sessions: 0,
                tokens: 0,
            }) => break,
            Ok(removed) => total += removed.sessions,
            Err(error) => batch = batch.after(error)?,
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(started.elapsed()) => {}
        }
    }
    Ok(total)
}

/// What one step removes at most.
#[derive(Debug, Clone, Copy)]
struct Batch {
    dead: DeadSessions,
    tokens: u32,
}

/// What one step removed.
struct Removed {
    sessions: u64,
    tokens: u64,
}

impl Batch {
    fn whole(kind: Dead) -> Self {
        let dead = DeadSessions {
            kind,
            count: SESSIONS,
            skipped: 0,
        };
        Self {
            dead,
            tokens: TOKENS,
        }
    }

    async fn remove(
        &self,
        database: &Database,
        now: OffsetDateTime,
    ) -> Result<Removed, DatabaseError> {
        let statement = SingleStatement::for_task(database).await?;
        let tokens = refresh_tokens::delete_of_dead(&statement, self.dead, now, self.tokens);
        let tokens = tokens.await?;
        let sessions = sessions::delete_dead(&statement, self.dead, now).await?;
        Ok(Removed { sessions, tokens })
    }

    /// The batch to try after this one failed, or the error when trying again would not help.
    fn after(mut self, error: DatabaseError) -> Result<Self, DatabaseError> {
        let is_too_much = matches!(error, DatabaseError::Timeout { .. });
        if error.is_outage() && !is_too_much {
            return Err(error);
        }
        if self.dead.count > 1 {
            self.dead.count = (self.dead.count / 8).max(1);
            self.tokens = (self.tokens / 8).max(1);
            return Ok(self);
        }
        if is_too_much && self.tokens > 1 {
            self.tokens = (self.tokens / 8).max(1);
            return Ok(self);
        }
        if self.dead.skipped == MAX_SKIPPED {
            return Err(error);
        }
        let error = chassis_telemetry::chain(&error);
        tracing::warn!(error, "session_cleanup_skipped_one");
        let mut next = Self::whole(self.dead.kind);
        next.dead.skipped = self.dead.skipped + 1;
        Ok(next)
    }
}
