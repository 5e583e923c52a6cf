//! A transaction that owns its connection, so that it can be kept in a struct and passed on.

use tokio::runtime::Handle;
use tokio_postgres::Row;
use tracing::Instrument;

use crate::database::{Connection, Database, DatabaseError, Executor, Parameters, Query};

static BEGIN: &Query = &Query {
    name: "begin",
    sql: "BEGIN",
    types: &[],
};
static COMMIT: &Query = &Query {
    name: "commit",
    sql: "COMMIT",
    types: &[],
};
static ROLLBACK: &Query = &Query {
    name: "rollback",
    sql: "ROLLBACK",
    types: &[],
};

/// A transaction on a connection of the pool, rolled back when dropped.
pub(super) struct OwnedTransaction(Option<Connection>);

impl OwnedTransaction {
    /// Begins a transaction.
    pub(super) async fn begin(database: &Database) -> Result<Self, DatabaseError> {
        let transaction = Self(Some(database.connection().await?));
        transaction.execute(BEGIN, &[]).await?;
        Ok(transaction)
    }

    /// Makes everything in it last.
    pub(super) async fn commit(mut self) -> Result<(), DatabaseError> {
        self.connection().execute(COMMIT, &[]).await?;
        // Only now: a commit that failed or was given up is rolled back.
        self.0 = None;
        Ok(())
    }

    fn connection(&self) -> &Connection {
        self.0.as_ref().expect("present until it ends")
    }
}

impl Drop for OwnedTransaction {
    fn drop(&mut self) {
        let Some(connection) = self.0.take() else {
            return;
        };
        // The connection goes back to the pool after this statement. When it has no answer, or there
        // is no runtime to send it on, the connection is closed, which is a rollback as well.
        if let Ok(runtime) = Handle::try_current() {
            let rollback = async move {
                let _ = connection.execute(ROLLBACK, &[]).await;
            };
            runtime.spawn(rollback.in_current_span());
        }
    }
}

impl Executor for OwnedTransaction {
    async fn rows(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.connection().rows(query, parameters).await
    }

    async fn execute(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<u64, DatabaseError> {
        self.connection().execute(query, parameters).await
    }
}
