//! What every statement is subject to: a time limit, a measurement and a span; and what is known of the server.
//!
//! # Two discoveries that concern every connection
//!
//! - **The schema changed** under prepared statements: a migration of the next release ran meanwhile. Each statement is
//!   prepared anew on each connection, because a new [`Edition`] of its text begins. The text has to differ: a pooler that
//!   keeps prepared statements knows them by their text, and would hand out the outdated plan again.
//! - **The server takes no writes** any more: it became a standby, or an operator made it read-only. Connections that are
//!   older than the discovery are replaced when they are next needed, those of the read pool too, so that what was written
//!   elsewhere is not missed.

use std::{
    borrow::Cow,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_postgres::types::{ToSql, Type};
use tracing::{Instrument, field::Empty};

use crate::{DatabaseError, DatabaseMetrics, Parameters, query::Query, sqlstate};

/// How often connections to a server that takes no writes are given up at most. As long as it is read-only on purpose,
/// reads would otherwise reconnect for each write that is refused.
const FORGET_AGAIN: Duration = Duration::from_secs(1);

/// How long statements may run and where they are counted. Clones share what is known of the server.
#[derive(Debug, Clone)]
pub(crate) struct StatementLimits {
    pub(crate) metrics: DatabaseMetrics,
    /// How long to wait for an answer: a little longer than the server's own limit.
    pub(crate) patience: Duration,
    pub(crate) slow: Duration,
    pub(crate) prepared: bool,
    /// What begins a transaction when time limits hold for a transaction instead of a session.
    pub(crate) local: Option<LocalLimits>,
    /// The database's name, for spans.
    pub(crate) namespace: String,
    pub(crate) edition: Arc<AtomicUsize>,
    /// When the server was last found to take no writes.
    pub(crate) read_only_since: Arc<Mutex<Option<Instant>>>,
}

/// The beginnings of transactions that bring their time limits along: one message each, so no round trip more.
#[derive(Debug, Clone)]
pub(crate) struct LocalLimits {
    pub(crate) begin: String,
    pub(crate) begin_read_only: String,
}

impl LocalLimits {
    pub(crate) fn new(statement_timeout: Duration) -> Self {
        let limit = statement_timeout.as_millis();
        let limits = format!(
            "SET LOCAL statement_timeout = {limit}; SET LOCAL idle_in_transaction_session_timeout = {}",
            limit * 2
        );
        Self {
            begin: format!("BEGIN; {limits}"),
            begin_read_only: format!("BEGIN READ ONLY; {limits}"),
        }
    }
}

/// The texts that are prepared: they change when the schema was found to have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edition(usize);

impl Edition {
    /// The text of a statement in this edition.
    pub(crate) fn text(self, query: &Query) -> Cow<'static, str> {
        match self.0 {
            0 => Cow::Borrowed(query.sql),
            number => Cow::Owned(format!("{}\n-- {number}", query.sql)),
        }
    }
}

/// Whether a connection can be used again: nothing on it is unanswered, and the server has not ended it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    unanswered: AtomicUsize,
    lost: AtomicBool,
}

impl Health {
    pub(crate) fn is_good(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) == 0 && !self.lost.load(Ordering::Relaxed)
    }

    /// Whether a statement was sent whose answer will never be read.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }
}

impl StatementLimits {
    pub(crate) fn edition(&self) -> Edition {
        Edition(self.edition.load(Ordering::Relaxed))
    }

    /// A statement of this edition was refused. The first to notice begins the next one.
    fn outdate(&self, Edition(number): Edition) {
        let _ = self.edition.compare_exchange(
            number,
            number.wrapping_add(1),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// The server takes no writes: connections that are open now are of no use.
    pub(crate) fn forget_server(&self) {
        let mut since = self
            .read_only_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if since.is_none_or(|last| last.elapsed() > FORGET_AGAIN) {
            *since = Some(Instant::now());
        }
    }

    /// Whether a connection that was opened then may lead to a server that takes no writes.
    pub(crate) fn is_forgotten(&self, opened: Instant) -> bool {
        let since = self
            .read_only_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| opened < since)
    }

    /// Runs the work of a statement: measured, traced, and bounded in time.
    ///
    /// `health` counts the statement while it runs, and keeps it when its future is dropped or gives up: the answer is
    /// then still to come, and the connection is of no use to the next caller. The work is borrowed and not moved in,
    /// because the compiler keeps a future that is passed on twice.
    pub(crate) async fn run<T>(
        &self,
        query: &'static Query,
        health: &Health,
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
        let edition = self.edition();
        health.unanswered.fetch_add(1, Ordering::Relaxed);
        let outcome = tokio::time::timeout(self.patience, work)
            .instrument(span.clone())
            .await;
        if outcome.is_ok() {
            health.unanswered.fetch_sub(1, Ordering::Relaxed);
        }
        let outcome = match outcome {
            Ok(answered) => answered.map_err(|error| self.explain(query, edition, health, error)),
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

    /// Classifies a failure, and draws the conclusions for the connection and for the statements that are prepared.
    fn explain(
        &self,
        query: &'static Query,
        edition: Edition,
        health: &Health,
        error: tokio_postgres::Error,
    ) -> DatabaseError {
        let ended = error.as_db_error().is_some_and(sqlstate::ends_session);
        let error = DatabaseError::from_driver(query.name, error);
        if ended || matches!(error, DatabaseError::Unreachable(_)) {
            health.lose();
        }
        if matches!(error, DatabaseError::Outdated { .. }) {
            self.outdate(edition);
        }
        error
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
