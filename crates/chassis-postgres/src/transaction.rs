//! Transactions that own their connection.
//!
//! A [`Transaction`] borrows nothing, so it can be stored in a struct and moved. Its states:
//!
//! - **open**: statements run on it. If one fails or is abandoned, the transaction is marked as failed.
//! - **committed**: [`Transaction::commit`] sent `COMMIT` and PostgreSQL confirmed it. The connection returns to the pool.
//! - **rolled back**: by [`Transaction::rollback`], or because it was dropped while open. `Drop` cannot wait, so it hands
//!   the connection to a task that sends `ROLLBACK`; only the confirmation returns it to the pool. Without a runtime the
//!   connection is closed instead, at which PostgreSQL rolls back.
//! - **unknown**: the future of `commit` was dropped, timed out, or lost its connection before the confirmation arrived.
//!   The connection is closed. Whether PostgreSQL committed cannot be known from here: the caller sees an error, or has
//!   itself gone away, and must be able to repeat what it did (a unique constraint makes the repetition visible).
//!
//! # A failed transaction is never committed
//!
//! After an error PostgreSQL answers `COMMIT` by rolling back, and reports success. A caller that swallowed the error would
//! believe that its writes lasted. So `commit` refuses after any failed statement, with SQLSTATE 25P02 (in failed SQL
//! transaction). The same holds after an abandoned statement, whose outcome was never read. A transaction that wants to go
//! on after a violated constraint asks for it in SQL (`ON CONFLICT`), or does that part in [`Transaction::attempt`].

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio_postgres::{Row, error::SqlState};

use crate::{
    Connection, DatabaseError, Message, Parameters, ReadExecutor, ReadQuery, WriteExecutor,
    WriteQuery, query::Query,
};

static COMMIT: Query = Query::control("commit", "COMMIT");
static SAVEPOINT: Query = Query::control("savepoint", "SAVEPOINT attempt");
static RELEASE: Query = Query::control("release_savepoint", "RELEASE SAVEPOINT attempt");
static ROLLBACK_TO: Query = Query::control(
    "rollback_to_savepoint",
    "ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt",
);
static ROLLBACK: Query = Query::control("rollback", "ROLLBACK");

/// A transaction on a connection of the pool, rolled back when dropped before it is committed.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction {
    /// Present while the transaction is open.
    connection: Option<Connection>,
    failed: AtomicBool,
}

impl Transaction {
    pub(crate) fn on(connection: Connection) -> Self {
        Self {
            connection: Some(connection),
            failed: AtomicBool::new(false),
        }
    }

    /// Makes the writes last.
    ///
    /// # Errors
    ///
    /// Nothing was written when a statement failed before, or PostgreSQL refuses the commit. After
    /// [`DatabaseError::Unreachable`] and [`DatabaseError::Timeout`] it is unknown whether something was.
    pub async fn commit(mut self) -> Result<(), DatabaseError> {
        self.refuse_failed()?;
        self.end(&COMMIT).await
    }

    /// Undoes the writes, and waits until that is done.
    pub async fn rollback(mut self) -> Result<(), DatabaseError> {
        self.end(&ROLLBACK).await
    }

    /// Does a part of the work that the rest can do without: when it fails, what it wrote is undone, and the transaction goes
    /// on. The inner result is that of the part. Its statements have to run on this transaction.
    ///
    /// # Errors
    ///
    /// When the transaction had failed before, or its connection is lost, or a statement of the part was not waited for: it
    /// cannot go on. Nor can it when the future is dropped before the part has ended.
    pub async fn attempt<T, E>(
        &self,
        part: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, DatabaseError> {
        let connection = self.connection();
        self.refuse_failed()?;
        // Until the part has ended.
        self.failed.store(true, Ordering::Relaxed);
        connection.control(&SAVEPOINT, SAVEPOINT.sql).await?;
        let outcome = part.await;
        let end = match &outcome {
            Ok(_) => &RELEASE,
            Err(_) => &ROLLBACK_TO,
        };
        connection.control(end, end.sql).await?;
        self.failed.store(false, Ordering::Relaxed);
        self.refuse_failed()?;
        Ok(outcome)
    }

    /// Refuses to go on after a failed statement, or one that was not waited for.
    fn refuse_failed(&self) -> Result<(), DatabaseError> {
        if !self.connection().is_abandoned() && !self.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(DatabaseError::Failed {
            query: COMMIT.name,
            state: SqlState::IN_FAILED_SQL_TRANSACTION.code().to_owned(),
            message: Message(
                "a statement of the transaction failed or was not waited for".to_owned(),
            ),
        })
    }

    async fn end(&mut self, query: &'static Query) -> Result<(), DatabaseError> {
        let connection = self.connection.take().expect("present while open");
        connection.end_transaction(query).await
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("present while open")
    }

    fn note<T>(&self, outcome: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        if outcome.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        // With an answer outstanding, after the server ended the session, or without a runtime, dropping the connection
        // closes it.
        if !connection.is_usable() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                // A failure is counted, and the connection closed.
                let _ = connection.end_transaction(&ROLLBACK).await;
            });
        }
    }
}

impl ReadExecutor for Transaction {
    async fn rows(
        &self,
        query: &'static ReadQuery,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.note(self.connection().read(&query.0, parameters).await)
    }
}

impl WriteExecutor for Transaction {
    async fn execute(
        &self,
        query: &'static WriteQuery,
        parameters: Parameters<'_>,
    ) -> Result<u64, DatabaseError> {
        self.note(self.connection().write(&query.0, parameters).await)
    }

    async fn returning(
        &self,
        query: &'static WriteQuery,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.note(self.connection().read(&query.0, parameters).await)
    }
}
