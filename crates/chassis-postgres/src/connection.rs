//! A connection of the pool, and when it goes back there.
//!
//! One rule protects the next user of the connection: it returns to the pool only when nothing on it is unfinished.
//!
//! - Every statement adds one to `unanswered` when it is sent and takes it off when it is answered. A future that is
//!   dropped, or that gives up waiting, leaves the count above zero.
//! - `in_transaction` is set before `BEGIN` is sent and cleared after `COMMIT` or `ROLLBACK` is confirmed.
//!
//! [`Connection`]'s `Drop` looks at both. If either is set, the connection is taken out of the pool and closed, at which
//! PostgreSQL rolls back what was open; the pool opens another one when it needs it. No code path has to remember
//! this, and it holds wherever a future is dropped, in the middle of a `COMMIT` too.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use deadpool_postgres::{Object, StatementCache};
use tokio_postgres::{Client, Row, Statement};

use crate::{
    DatabaseError, Parameters, ReadExecutor, ReadQuery, Transaction, WriteExecutor, WriteQuery,
    limits::{StatementLimits, typed},
    query::Query,
};

/// A connection of the pool, for single statements; [`Database::begin`](crate::Database::begin) is for several that
/// belong together. It returns to the pool when dropped, unless a statement on it was never answered.
pub struct Connection {
    client: Option<Object>,
    unanswered: AtomicUsize,
    in_transaction: bool,
    limits: Arc<StatementLimits>,
}

static BEGIN: Query = Query::control("begin", "BEGIN");

impl Connection {
    pub(crate) fn new(client: Object, limits: Arc<StatementLimits>) -> Self {
        Self {
            client: Some(client),
            unanswered: AtomicUsize::new(0),
            in_transaction: false,
            limits,
        }
    }

    /// Begins a transaction on this connection, which is rolled back unless it is committed.
    pub async fn begin(mut self) -> Result<Transaction, DatabaseError> {
        self.in_transaction = true;
        self.control(&BEGIN).await?;
        Ok(Transaction::on(self))
    }

    /// Sends `COMMIT` or `ROLLBACK`. The connection returns to the pool when it is confirmed, and is closed otherwise.
    pub(crate) async fn end_transaction(
        mut self,
        query: &'static Query,
    ) -> Result<(), DatabaseError> {
        self.control(query).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Whether a statement was sent whose answer will never be read.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) > 0
    }

    async fn control(&self, query: &'static Query) -> Result<(), DatabaseError> {
        let work = self.client().batch_execute(query.sql);
        self.limits.run(query, &self.unanswered, pin!(work)).await
    }

    pub(crate) async fn read(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let client = self.client();
        let prepare = client
            .statement_cache
            .prepare_typed(client, query.sql, query.types);
        let work = rows(client, prepare, &self.limits, query, parameters);
        self.limits.run(query, &self.unanswered, pin!(work)).await
    }

    pub(crate) async fn write(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<u64, DatabaseError> {
        let client = self.client();
        let work = execute(
            client,
            &client.statement_cache,
            &self.limits,
            query,
            parameters,
        );
        self.limits.run(query, &self.unanswered, pin!(work)).await
    }

    fn client(&self) -> &Object {
        self.client.as_ref().expect("present until dropped")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.in_transaction && !self.is_abandoned() {
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

/// Runs a statement for its rows, prepared or not. `prepare` finds or makes the prepared statement.
pub(crate) async fn rows(
    client: &Client,
    prepare: impl Future<Output = Result<Statement, tokio_postgres::Error>>,
    limits: &StatementLimits,
    query: &'static Query,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    if !limits.prepared {
        let typed = typed(query, parameters);
        // In a box, so that it takes no space in the futures of prepared statements.
        return Box::pin(client.query_typed(query.sql, &typed)).await;
    }
    let statement = prepare.await?;
    client.query(&statement, parameters).await
}

async fn execute(
    client: &Client,
    cache: &StatementCache,
    limits: &StatementLimits,
    query: &'static Query,
    parameters: Parameters<'_>,
) -> Result<u64, tokio_postgres::Error> {
    if !limits.prepared {
        return client
            .execute_typed(query.sql, &typed(query, parameters))
            .await;
    }
    let statement = cache.prepare_typed(client, query.sql, query.types).await?;
    client.execute(&statement, parameters).await
}
