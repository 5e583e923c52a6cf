//! A statement, and the ways to run one.

use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use tracing::{Instrument, field::Empty};

use crate::{error::DatabaseError, metrics::DatabaseMetrics};

/// What is bound to `$1`, `$2`, ….
pub type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A statement, written by hand beside the function that runs it.
#[derive(Debug)]
pub struct Query {
    /// Its name in metrics, spans and logs.
    pub name: &'static str,
    /// The statement itself.
    pub sql: &'static str,
    /// The types of `$1`, `$2`, …: said here, so that it can run unprepared behind a pooler.
    pub types: &'static [Type],
}

impl Query {
    /// What it does, as metrics and spans call it.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        let verb = self.sql.split_whitespace().next().unwrap_or_default();
        match verb {
            "SELECT" => "select",
            "INSERT" => "insert",
            "UPDATE" => "update",
            "DELETE" => "delete",
            _ => "other",
        }
    }

    /// What it does to what, as spans call it: `SELECT users`. Never a value.
    #[must_use]
    pub fn summary(&self) -> String {
        let verb = self.sql.split_whitespace().next().unwrap_or_default();
        let before_table = ["FROM", "INTO", "UPDATE"];
        let mut all = self.sql.split_whitespace();
        let table = all
            .find(|word| before_table.contains(word))
            .and_then(|_| all.next())
            .filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase()));
        match table {
            Some(table) => format!("{verb} {}", table.trim_end_matches([',', ';', '('])),
            None => verb.to_owned(),
        }
    }
}

/// Something that runs statements: a pooled connection, a transaction, or the shared readers.
///
/// Repositories are functions over it, so the same one works inside and outside a transaction.
pub trait Executor: Sync {
    /// Runs a statement and returns its rows.
    fn rows(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<Vec<Row>, DatabaseError>> + Send;

    /// Runs a statement and returns how many rows it touched.
    fn execute(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<u64, DatabaseError>> + Send;

    /// Runs a statement that returns at most one row.
    fn optional(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<Option<Row>, DatabaseError>> + Send {
        async move { Ok(self.rows(query, parameters).await?.into_iter().next()) }
    }
}

/// How long statements may run and where they are counted.
#[derive(Debug, Clone)]
pub(crate) struct StatementLimits {
    pub(crate) metrics: DatabaseMetrics,
    /// How long to wait for an answer: a little longer than the server gives itself.
    pub(crate) patience: Duration,
    pub(crate) slow: Duration,
    pub(crate) prepared: bool,
    /// The database's name, for spans.
    pub(crate) namespace: String,
}

impl StatementLimits {
    /// Runs the work of a statement: measured, traced, and not for ever.
    ///
    /// `stuck` is set while it runs and stays set when nobody waits for the
    /// answer any more: such a connection is of no use to the next one. The
    /// work is lent, because a future that is handed on is kept twice.
    pub(crate) async fn run<T>(
        &self,
        query: &'static Query,
        stuck: &AtomicBool,
        work: Pin<&mut impl Future<Output = Result<T, tokio_postgres::Error>>>,
    ) -> Result<T, DatabaseError> {
        let span = tracing::info_span!(
            "sql",
            otel.name = query.name,
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = "postgresql",
            db.namespace = self.namespace,
            db.operation.name = query.operation(),
            db.query.summary = query.summary(),
            db.response.status_code = Empty,
            error.r#type = Empty,
        );
        let started = Instant::now();
        stuck.store(true, Ordering::Relaxed);
        let outcome = tokio::time::timeout(self.patience, work)
            .instrument(span.clone())
            .await;
        if outcome.is_ok() {
            stuck.store(false, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_what_is_done_to_what() {
        for (sql, expected) in [
            ("SELECT id FROM users WHERE id = $1", "SELECT users"),
            ("INSERT INTO sessions (id) VALUES ($1)", "INSERT sessions"),
            ("UPDATE users\nSET role = $1", "UPDATE users"),
            ("DELETE FROM users", "DELETE users"),
            ("SELECT 1 AS one", "SELECT"),
            ("SELECT a FROM (SELECT b FROM c) d", "SELECT"),
            ("BEGIN", "BEGIN"),
        ] {
            let query = Query {
                name: "it",
                sql,
                types: &[],
            };
            assert_eq!(query.summary(), expected);
        }
    }
}
