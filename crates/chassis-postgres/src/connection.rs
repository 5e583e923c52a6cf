//! A connection of the pool, and when it goes back there.
//!
//! One rule protects the next user of the connection: it returns to the pool only when nothing on it is unfinished.
//!
//! - [`Health`] counts a statement when it is sent and takes it off when it is answered. A future that is dropped, or that
//!   gives up waiting, leaves the count above zero. It also knows when the server ended the session, or takes no writes.
//! - `in_transaction` is set before `BEGIN` is sent and cleared after `COMMIT` or `ROLLBACK` is confirmed.
//!
//! [`Connection`]'s `Drop` looks at both. If either is set, the connection is taken out of the pool and closed, at which
//! PostgreSQL rolls back what was open; the pool opens another one when it needs it. No code path has to remember
//! this, and it holds wherever a future is dropped, in the middle of a `COMMIT` too.
//!
//! # A single statement
//!
//! One that the server refused as a whole (a deadlock, an outdated prepared statement) is repeated once, also when it writes:
//! the server has said that nothing of it happened. In a transaction the earlier statements are gone with it, so there the
//! caller has to begin again. Behind a pooler each is a transaction of its own, because that is what brings the time limits;
//! its three messages travel together.

use std::{pin::pin, sync::Arc};

use deadpool_postgres::Object;
use futures_util::future::join3;
use tokio_postgres::{Client, Error, Row, Statement};

use crate::{
    DatabaseError, Parameters, ReadExecutor, ReadQuery, Transaction, WriteExecutor, WriteQuery,
    limits::{Health, StatementLimits, typed},
    query::Query,
};

/// A connection of the pool, for single statements; [`Database::begin`](crate::Database::begin) is for several that
/// belong together. It returns to the pool when dropped, unless a statement on it was never answered.
pub struct Connection {
    client: Option<Object>,
    health: Health,
    in_transaction: bool,
    limits: Arc<StatementLimits>,
}

static BEGIN: Query = Query::control("begin", "BEGIN");

impl Connection {
    pub(crate) fn new(client: Object, limits: Arc<StatementLimits>) -> Self {
        Self {
            client: Some(client),
            health: Health::default(),
            in_transaction: false,
            limits,
        }
    }

    /// Begins a transaction on this connection, which is rolled back unless it is committed.
    pub async fn begin(mut self) -> Result<Transaction, DatabaseError> {
        self.in_transaction = true;
        let local = self.limits.local.as_ref();
        let text = local.map_or(BEGIN.sql, |local| local.begin.as_str());
        self.control(&BEGIN, text).await?;
        Ok(Transaction::on(self))
    }

    /// Sends `COMMIT` or `ROLLBACK`. The connection returns to the pool when it is confirmed, and is closed otherwise.
    pub(crate) async fn end_transaction(
        mut self,
        query: &'static Query,
    ) -> Result<(), DatabaseError> {
        self.control(query, query.sql).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Whether a statement was sent whose answer will never be read.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.health.is_abandoned()
    }

    /// Whether another statement can be sent on it and will be answered.
    pub(crate) fn is_usable(&self) -> bool {
        self.health.is_good()
    }

    pub(crate) async fn control(
        &self,
        query: &'static Query,
        text: &str,
    ) -> Result<(), DatabaseError> {
        let work = self.client().batch_execute(text);
        let outcome = self.limits.run(query, &self.health, pin!(work)).await;
        self.note(outcome)
    }

    pub(crate) async fn read(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        match self.read_once(query, parameters).await {
            Err(error) if self.may_repeat(&error) => {
                // In a box, so that it takes no space in the futures of those that succeed.
                Box::pin(self.read_once(query, parameters)).await
            }
            outcome => outcome,
        }
    }

    async fn read_once(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let client = self.client();
        let work = async {
            let prepared = self.prepare(query).await?;
            let work = rows(client, prepared.as_ref(), query, parameters);
            self.within_limits(query, work).await
        };
        let outcome = self.limits.run(query, &self.health, pin!(work)).await;
        self.note(outcome)
    }

    pub(crate) async fn write(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<u64, DatabaseError> {
        match self.write_once(query, parameters).await {
            Err(error) if self.may_repeat(&error) => {
                Box::pin(self.write_once(query, parameters)).await
            }
            outcome => outcome,
        }
    }

    async fn write_once(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<u64, DatabaseError> {
        let client = self.client();
        let work = async {
            let prepared = self.prepare(query).await?;
            let work = execute(client, prepared.as_ref(), query, parameters);
            self.within_limits(query, work).await
        };
        let outcome = self.limits.run(query, &self.health, pin!(work)).await;
        self.note(outcome)
    }

    /// The prepared statement, or nothing where none are used.
    async fn prepare(&self, query: &'static Query) -> Result<Option<Statement>, Error> {
        if !self.limits.prepared {
            return Ok(None);
        }
        let client = self.client();
        let text = self.limits.edition().text(query);
        let statement = client
            .statement_cache
            .prepare_typed(client, &text, query.types)
            .await?;
        Ok(Some(statement))
    }

    /// Runs a single statement in a transaction that brings its time limits, where no session has any.
    ///
    /// The three messages are sent before the first is answered. When the statement fails, `COMMIT` ends the transaction
    /// by rolling it back.
    async fn within_limits<T>(
        &self,
        query: &'static Query,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(local) = self.limits.local.as_ref().filter(|_| !self.in_transaction) else {
            return work.await;
        };
        let begin = if query.only_reads {
            &local.begin_read_only
        } else {
            &local.begin
        };
        let client = self.client();
        let commit = client.batch_execute("COMMIT");
        // In a box: it takes no space in the futures of those that are not behind a pooler.
        let sent = Box::pin(join3(client.batch_execute(begin), work, commit));
        let (opened, outcome, ended) = sent.await;
        opened?;
        let value = outcome?;
        ended?;
        Ok(value)
    }

    /// Whether nothing of a statement happened, and nothing else is lost with it.
    fn may_repeat(&self, error: &DatabaseError) -> bool {
        !self.in_transaction && error.is_refused_whole() && self.health.is_good()
    }

    fn note<T>(&self, outcome: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        if matches!(outcome, Err(DatabaseError::ReadOnly { .. })) {
            self.health.lose();
            self.limits.forget_server();
        }
        outcome
    }

    fn client(&self) -> &Object {
        self.client.as_ref().expect("present until dropped")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.in_transaction && self.health.is_good() {
            return;
        }
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

impl ReadExecutor for Connection {
    async fn rows(
        &self,
        query: &'static ReadQuery,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.read(&query.0, parameters).await
    }
}

impl WriteExecutor for Connection {
    async fn execute(
        &self,
        query: &'static WriteQuery,
        parameters: Parameters<'_>,
    ) -> Result<u64, DatabaseError> {
        self.write(&query.0, parameters).await
    }

    async fn returning(
        &self,
        query: &'static WriteQuery,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.read(&query.0, parameters).await
    }
}

/// Runs a statement for its rows, prepared or not.
pub(crate) async fn rows(
    client: &Client,
    prepared: Option<&Statement>,
    query: &'static Query,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>, Error> {
    let Some(statement) = prepared else {
        let typed = typed(query, parameters);
        // In a box, so that it takes no space in the futures of prepared statements.
        return Box::pin(client.query_typed(query.sql, &typed)).await;
    };
    client.query(statement, parameters).await
}

async fn execute(
    client: &Client,
    prepared: Option<&Statement>,
    query: &'static Query,
    parameters: Parameters<'_>,
) -> Result<u64, Error> {
    let Some(statement) = prepared else {
        let typed = typed(query, parameters);
        return Box::pin(client.execute_typed(query.sql, &typed)).await;
    };
    client.execute(statement, parameters).await
}
