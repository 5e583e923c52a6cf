//! What runs statements.
//!
//! Repository functions take `&impl ReadExecutor` or `&impl WriteExecutor`, so the same function works on its own and
//! inside a transaction, and its signature says whether it writes.

use tokio_postgres::Row;

use crate::{DatabaseError, Parameters, ReadQuery, WriteQuery};

/// Runs statements that only read: the read pool, a reader, a pooled connection, or a transaction.
pub trait ReadExecutor: Sync {
    /// Runs a statement and returns its rows.
    fn rows(
        &self,
        query: &'static ReadQuery,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<Vec<Row>, DatabaseError>> + Send;

    /// Runs a statement that returns at most one row.
    fn optional(
        &self,
        query: &'static ReadQuery,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<Option<Row>, DatabaseError>> + Send {
        async move { Ok(self.rows(query, parameters).await?.into_iter().next()) }
    }
}

/// Runs statements that write: a pooled connection or a transaction. The read pool does not implement it:
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
///     purge(database.read_pool()).await
/// }
/// ```
///
/// With `database.connection().await?` in place of the read pool it compiles:
///
/// ```
/// # use chassis_postgres::{Database, DatabaseError, WriteExecutor, WriteQuery};
/// # static PURGE: WriteQuery = WriteQuery::delete("notes_purge", "DELETE FROM notes", &[]);
/// # async fn purge(db: &impl WriteExecutor) -> Result<u64, DatabaseError> {
/// #     db.execute(&PURGE, &[]).await
/// # }
/// async fn purge_on_purpose(database: &Database) -> Result<u64, DatabaseError> {
///     purge(&database.connection().await?).await
/// }
/// ```
pub trait WriteExecutor: ReadExecutor {
    /// Runs a statement and returns how many rows it changed.
    fn execute(
        &self,
        query: &'static WriteQuery,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<u64, DatabaseError>> + Send;

    /// Runs a statement and returns its rows: those of `RETURNING`, or those that it locked.
    fn returning(
        &self,
        query: &'static WriteQuery,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<Vec<Row>, DatabaseError>> + Send;

    /// Runs a statement that returns at most one row.
    fn returning_optional(
        &self,
        query: &'static WriteQuery,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<Option<Row>, DatabaseError>> + Send {
        async move { Ok(self.returning(query, parameters).await?.into_iter().next()) }
    }
}
