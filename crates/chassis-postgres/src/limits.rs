//! What every statement is subject to: a time limit, a measurement and a span.

use std::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tokio_postgres::types::{ToSql, Type};
use tracing::{Instrument, field::Empty};

use crate::{DatabaseError, DatabaseMetrics, Parameters, query::Query};

/// How long statements may run and where they are counted.
#[derive(Debug, Clone)]
pub(crate) struct StatementLimits {
    pub(crate) metrics: DatabaseMetrics,
    /// How long to wait for an answer: a little longer than the server's own limit.
    pub(crate) patience: Duration,
    pub(crate) slow: Duration,
    pub(crate) prepared: bool,
    /// The database's name, for spans.
    pub(crate) namespace: String,
}

impl StatementLimits {
    /// Runs the work of a statement: measured, traced, and bounded in time.
    ///
    /// `unanswered` is one higher while the statement runs, and stays so when its future is dropped or gives up: the
    /// answer is then still to come, and the connection is of no use to the next caller. The work is borrowed and not
    /// moved in, because the compiler keeps a future that is passed on twice.
    pub(crate) async fn run<T>(
        &self,
        query: &'static Query,
        unanswered: &AtomicUsize,
        work: Pin<&mut impl Future<Output = Result<T, tokio_postgres::Error>>>,
    ) -> Result<T, DatabaseError> {
        let span = tracing::info_span!(
            "sql",
            otel.name = query.name,
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = "postgresql",
            db.namespace = self.namespace,
            db.operation.name = query.operation.label(),
            db.query.summary = query.summary(),
            db.response.status_code = Empty,
            error.r#type = Empty,
        );
        let started = Instant::now();
        unanswered.fetch_add(1, Ordering::Relaxed);
        let outcome = tokio::time::timeout(self.patience, work)
            .instrument(span.clone())
            .await;
        if outcome.is_ok() {
            unanswered.fetch_sub(1, Ordering::Relaxed);
        }
        let outcome = match outcome {
            Ok(answered) => answered.map_err(|error| DatabaseError::from_driver(query.name, error)),
            Err(_) => Err(DatabaseError::Timeout { query: query.name }),
        };
        let elapsed = started.elapsed();
        self.metrics.observe(query, elapsed, outcome.as_ref().err());
        if let Err(error) = &outcome {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", error.kind());
            span.record("db.response.status_code", error.sqlstate());
        }
        if elapsed >= self.slow {
            let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(query = query.name, duration_ms, "slow_query");
        }
        outcome
    }
}

/// Pairs each parameter with its type, for a statement that is not prepared.
pub(crate) fn typed<'a>(
    query: &'static Query,
    parameters: Parameters<'a>,
) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    parameters
        .iter()
        .copied()
        .zip(query.types.iter().cloned())
        .collect()
}
