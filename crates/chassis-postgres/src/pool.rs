//! Pooled connections, for transactions.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use deadpool_postgres::{Object, StatementCache};
use tokio_postgres::{Client, Row, Statement};

use crate::{
    error::DatabaseError,
    statement::{Executor, Parameters, Query, StatementLimits, typed},
};

/// A connection of the pool. It goes back when dropped, unless a statement on it never ended.
pub struct Connection {
    client: Option<Object>,
    stuck: AtomicBool,
    limits: Arc<StatementLimits>,
}

impl Connection {
    pub(crate) fn new(client: Object, limits: Arc<StatementLimits>) -> Self {
        Self {
            client: Some(client),
            stuck: AtomicBool::new(false),
            limits,
        }
    }

    /// Begins a transaction, which is rolled back unless it is committed.
    ///
    /// # Panics
    ///
    /// Never: the client is there until the connection is dropped.
    pub async fn begin(&mut self) -> Result<Transaction<'_>, DatabaseError> {
        let client = self.client.as_mut().expect("present until dropped");
        let inner = self
            .limits
            .run(&BEGIN, &self.stuck, pin!(client.transaction()))
            .await?;
        Ok(Transaction {
            inner,
            stuck: &self.stuck,
            limits: &self.limits,
        })
    }

    fn client(&self) -> &Object {
        self.client.as_ref().expect("present until dropped")
    }
}

static BEGIN: Query = Query {
    name: "begin",
    sql: "BEGIN",
    types: &[],
};
static COMMIT: Query = Query {
    name: "commit",
    sql: "COMMIT",
    types: &[],
};

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.stuck.load(Ordering::Relaxed) {
            return;
        }
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

impl Executor for Connection {
    async fn rows(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let client = self.client();
        let prepare = client
            .statement_cache
            .prepare_typed(client, query.sql, query.types);
        let work = rows(client, prepare, &self.limits, query, parameters);
        self.limits.run(query, &self.stuck, pin!(work)).await
    }

    async fn execute(
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
        self.limits.run(query, &self.stuck, pin!(work)).await
    }
}

/// A transaction on a connection of the pool.
pub struct Transaction<'a> {
    inner: deadpool_postgres::Transaction<'a>,
    stuck: &'a AtomicBool,
    limits: &'a StatementLimits,
}

impl Transaction<'_> {
    /// Makes everything in it last.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        self.limits
            .run(&COMMIT, self.stuck, pin!(self.inner.commit()))
            .await
    }
}

impl Executor for Transaction<'_> {
    async fn rows(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let (client, cache) = (self.inner.client(), &self.inner.statement_cache);
        let prepare = cache.prepare_typed(client, query.sql, query.types);
        let work = rows(client, prepare, self.limits, query, parameters);
        self.limits.run(query, self.stuck, pin!(work)).await
    }

    async fn execute(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<u64, DatabaseError> {
        let (client, cache) = (self.inner.client(), &self.inner.statement_cache);
        let work = execute(client, cache, self.limits, query, parameters);
        self.limits.run(query, self.stuck, pin!(work)).await
    }
}

pub(crate) async fn rows(
    client: &Client,
    prepare: impl Future<Output = Result<Statement, tokio_postgres::Error>>,
    limits: &StatementLimits,
    query: &'static Query,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    if !limits.prepared {
        let typed = typed(query, parameters);
        // In a box, so that it takes no room where statements are prepared.
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
