//! Applying and undoing steps, under the advisory lock.

use refinery::{Migration, Runner};
use refinery_core::{
    AsyncMigrate,
    traits::r#async::{AsyncQuery, AsyncTransaction},
};
use tokio_postgres::Client;

use super::{MigrationError, Migrations, error::describe};
use crate::Grants;

/// How long to wait for another replica's run, or for a table that is in use.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '60s'";

impl Migrations {
    /// Applies what is pending, in order, each step in a transaction that ends with the grants. With nothing pending it
    /// grants all the same, which moves an existing database to two roles. Returns the names of what was applied.
    pub async fn up(
        &self,
        client: &mut Client,
        grants: &Grants<'_>,
    ) -> Result<Vec<String>, MigrationError> {
        Self::check_encoding(client).await?;
        self.lock(client).await?;
        let outcome = self.up_locked(client, grants).await;
        self.unlock(client, outcome).await
    }

    async fn up_locked(
        &self,
        client: &mut Client,
        grants: &Grants<'_>,
    ) -> Result<Vec<String>, MigrationError> {
        // Another replica may have migrated while this one waited for the lock.
        let status = self.status(client).await?;
        let mut granting = Granting { client, grants };
        if status.pending.is_empty() {
            granting.execute(std::iter::empty()).await?;
            return Ok(Vec::new());
        }
        let steps = self.steps()?.into_iter();
        let migrations: Vec<_> = steps.map(|step| step.migration).collect();
        Runner::new(&migrations)
            .set_abort_divergent(true)
            .set_abort_missing(false)
            .run_async(&mut granting)
            .await
            .map_err(|error| MigrationError::Failed(explain(&error)))?;
        Ok(status.pending)
    }

    /// Undoes the last `count` migrations, newest first, each in a transaction. Returns the names of what was undone.
    pub async fn down(
        &self,
        client: &mut Client,
        count: usize,
    ) -> Result<Vec<String>, MigrationError> {
        self.lock(client).await?;
        let outcome = self.down_locked(client, count).await;
        self.unlock(client, outcome).await
    }

    async fn down_locked(
        &self,
        client: &mut Client,
        count: usize,
    ) -> Result<Vec<String>, MigrationError> {
        let status = self.status(client).await?;
        if let Some(newer) = status.newer.into_iter().next() {
            return Err(MigrationError::Unknown(newer));
        }
        let steps = self.steps()?;
        let mut undone = Vec::new();
        for row in status.applied.iter().rev().take(count) {
            let step = steps
                .iter()
                .find(|step| step.migration.version() == row.version)
                .ok_or_else(|| MigrationError::Unknown(row.to_string()))?;
            let transaction = client.transaction().await?;
            let failed = |error: tokio_postgres::Error| {
                MigrationError::Failed(format!("{}: {}", step.name(), describe(&error)))
            };
            transaction.batch_execute(step.undo).await.map_err(failed)?;
            transaction
                .execute(
                    "DELETE FROM refinery_schema_history WHERE version = $1",
                    &[&row.version],
                )
                .await?;
            transaction.commit().await?;
            undone.push(step.name());
        }
        Ok(undone)
    }

    /// Takes the lock that keeps other replicas out. It belongs to the session.
    async fn lock(&self, client: &Client) -> Result<(), MigrationError> {
        client.batch_execute(LOCK_TIMEOUT).await?;
        client
            .execute("SELECT pg_advisory_lock($1)", &[&self.lock_key])
            .await?;
        Ok(())
    }

    /// Releases the lock. The error of the run matters more than one of the release.
    async fn unlock<T>(
        &self,
        client: &Client,
        outcome: Result<T, MigrationError>,
    ) -> Result<T, MigrationError> {
        let unlocked = client
            .execute("SELECT pg_advisory_unlock($1)", &[&self.lock_key])
            .await;
        let value = outcome?;
        unlocked?;
        Ok(value)
    }
}

/// A connection whose transactions end with the grants.
///
/// refinery makes a transaction of each migration's text and its row of the history, and leaves running it to the
/// connection. So the grants are part of the transaction without being part of the text, whose checksum stays what it was
/// for databases that exist already.
struct Granting<'a> {
    client: &'a mut Client,
    grants: &'a Grants<'a>,
}

impl AsyncTransaction for Granting<'_> {
    type Error = tokio_postgres::Error;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, Self::Error> {
        let transaction = self.client.transaction().await?;
        let mut count = 0;
        for query in queries {
            transaction.batch_execute(query).await?;
            count += 1;
        }
        self.grants.apply(&transaction).await?;
        transaction.commit().await?;
        Ok(count)
    }
}

impl AsyncQuery<Vec<Migration>> for Granting<'_> {
    async fn query(&mut self, query: &str) -> Result<Vec<Migration>, Self::Error> {
        AsyncQuery::query(self.client, query).await
    }
}

impl AsyncMigrate for Granting<'_> {}

/// refinery's message, or PostgreSQL's below it.
fn explain(error: &refinery::Error) -> String {
    let cause = std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause.map_or_else(|| error.to_string(), describe)
}
