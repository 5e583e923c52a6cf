//! When sessions were last used: collected by requests, and written once a second by a task.

use std::{collections::HashSet, time::Duration};

use chassis_postgres::Database;
use chassis_telemetry::Tracing;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::{SessionId, tables::sessions, transaction::SingleStatement};
use crate::shared::clock::Clock;

/// How often what was gathered is written.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many uses may wait to be written. More are dropped: the next request brings another.
const CAPACITY: usize = 4096;

/// Takes note of sessions in use, without waiting.
#[derive(Debug, Clone)]
pub struct Activity(mpsc::Sender<SessionId>);

/// Writes when they were in use.
#[derive(Debug)]
pub struct ActivityWriter(mpsc::Receiver<SessionId>);

/// The two ends.
#[must_use]
pub fn channel() -> (Activity, ActivityWriter) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (Activity(sender), ActivityWriter(receiver))
}

impl Activity {
    /// Notes that a session is in use.
    pub(super) fn seen(&self, id: SessionId) {
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
        while let Ok(id) = self.0.try_recv() {
            seen.insert(*id.as_uuid());
        }
        if seen.is_empty() {
            return;
        }
        let ids: Vec<Uuid> = seen.into_iter().collect();
        let written = async {
            let statement = SingleStatement::for_task(database).await?;
            sessions::touch(&statement, &ids, clock.now()).await
        };
        let span = tracing.task("session_activity");
        if let Err(error) = written.instrument(span.clone()).await {
            chassis_telemetry::fail(&span);
            let error = chassis_telemetry::chain(&error);
            span.in_scope(|| tracing::warn!(error, "session_activity_not_written"));
        }
    }
}
