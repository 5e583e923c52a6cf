//! Reads on connections of the pool.

use tokio_postgres::Row;

use crate::{Database, DatabaseError, Parameters, ReadExecutor, ReadQuery};

/// Runs each statement on a connection of the pool, which it gives back at once; nothing else waits for it.
///
/// It implements [`ReadExecutor`] only, so a write through it does not compile:
///
/// ```compile_fail,E0277
/// use chassis_postgres::{Database, DatabaseError, WriteExecutor, WriteQuery};
///
/// static PURGE: WriteQuery = WriteQuery::delete("notes_purge", "DELETE FROM notes", &[]);
///
/// async fn purge(db: &impl WriteExecutor) -> Result<u64, DatabaseError> {
///     db.execute(&PURGE, &[]).await
/// }
///
/// async fn purge_by_mistake(database: &Database) -> Result<u64, DatabaseError> {
///     purge(&database.reader()).await
/// }
/// ```
///
/// Do not use it while holding a connection or a transaction, which can read themselves: enough requests that ask for a
/// second connection wait for each other.
#[derive(Clone, Copy)]
pub struct PooledReader<'a>(&'a Database);

impl<'a> PooledReader<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        Self(database)
    }

    async fn attempt(
        &self,
        query: &'static ReadQuery,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.0.connection().await?.rows(query, parameters).await
    }
}

impl ReadExecutor for PooledReader<'_> {
    /// Runs a statement; one whose connection broke is run once more on another.
    async fn rows(
        &self,
        query: &'static ReadQuery,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let outcome = self.attempt(query, parameters).await;
        if matches!(outcome, Err(DatabaseError::Unreachable(_))) {
            return self.attempt(query, parameters).await;
        }
        outcome
    }
}
