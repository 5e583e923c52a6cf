//! When credentials were last used: collected by requests, and written once a second by a task.

use std::{collections::HashSet, sync::Arc, time::Duration};

use chassis_postgres::{Database, DatabaseError};
use chassis_telemetry::Tracing;
use futures_util::future::{BoxFuture, FutureExt};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::{tables::sessions, transaction::SingleStatement};
use crate::shared::clock::Clock;

/// How often what was gathered is written.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many uses may wait to be written. More are dropped: the next request brings another.
const CAPACITY: usize = 4096;

/// Writes that what has these ids was in use at this time, by one statement. Rows that are locked are to be skipped.
pub type Touch = Arc<
    dyn for<'a> Fn(
            &'a SingleStatement,
            &'a [Uuid],
            OffsetDateTime,
        ) -> BoxFuture<'a, Result<u64, DatabaseError>>
        + Send
        + Sync,
>;

/// Takes note of credentials in use, without waiting.
#[derive(Debug, Clone)]
pub struct Activity(mpsc::Sender<Uuid>);

/// Writes when they were in use.
pub struct ActivityWriter {
    seen: mpsc::Receiver<Uuid>,
    touch: Touch,
}

/// The two ends for one kind of credential.
#[must_use]
pub fn channel(touch: Touch) -> (Activity, ActivityWriter) {
    let (sender, seen) = mpsc::channel(CAPACITY);
    (Activity(sender), ActivityWriter { seen, touch })
}

/// The two ends for sessions.
#[must_use]
pub fn session_activity() -> (Activity, ActivityWriter) {
    channel(Arc::new(|statement, ids, now| {
        sessions::touch(statement, ids, now).boxed()
    }))
}

impl Activity {
    /// Notes that a credential is in use.
    pub fn seen(&self, id: Uuid) {
        // Full, or there is no writer: neither concerns the request.
        let _ = self.0.try_send(id);
    }
}

impl ActivityWriter {
    /// Writes until stopped, and what is left then.
    pub async fn run(
        mut self,
        database: Database,
        clock: Clock,
        tracing: Tracing,
        stop: CancellationToken,
    ) {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                _ = tick.tick() => false,
            };
            self.write(&database, &clock, &tracing).await;
            if stopped {
                return;
            }
        }
    }

    async fn write(&mut self, database: &Database, clock: &Clock, tracing: &Tracing) {
        let mut seen = HashSet::new();
        while let Ok(id) = self.seen.try_recv() {
            seen.insert(id);
        }
        if seen.is_empty() {
            return;
        }
        let ids: Vec<Uuid> = seen.into_iter().collect();
        let written = async {
            let statement = SingleStatement::for_task(database).await?;
            (self.touch)(&statement, &ids, clock.now()).await
        };
        let span = tracing.task("session_activity");
        if let Err(error) = written.instrument(span.clone()).await {
            chassis_telemetry::fail(&span);
            let error = chassis_telemetry::chain(&error);
            span.in_scope(|| tracing::warn!(error, "session_activity_not_written"));
        }
    }
}
