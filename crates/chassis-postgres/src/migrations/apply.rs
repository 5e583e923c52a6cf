//! Applying and undoing steps, under the advisory lock.

use std::time::Duration;

use refinery::{Migration, Runner};
use refinery_core::{
    AsyncMigrate,
    traits::r#async::{AsyncQuery, AsyncTransaction},
};
use tokio_postgres::{Client, error::SqlState};

use super::{MigrationError, Migrations, error::describe};
use crate::Grants;

/// How long to wait for another replica's run. A step may take longer than any statement of the service, and than what the role
/// says of statements.
const WAIT_FOR_OTHERS: &str = "SET statement_timeout = 0; SET lock_timeout = '60s'";

/// How long a step waits for a table that is in use. Everybody who comes after it waits behind it for that long.
const WAIT_FOR_TABLES: &str = "SET lock_timeout = '2s'";

/// How often a step that did not get its table, or lost a deadlock, is tried: for about a minute.
const TRIES: u32 = 12;

/// How long whoever waited behind a step is left alone before it is tried again.
const PAUSE: Duration = Duration::from_secs(3);

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
        let runner = Runner::new(&migrations)
            .set_abort_divergent(true)
            .set_abort_missing(false);
        let mut tries = 1;
        // Steps that were committed stay; those that are left begin with the one that failed.
        while let Err(error) = runner.run_async(&mut granting).await {
            if tries == TRIES || !driver_error(&error).is_some_and(may_be_tried_again) {
                let reason = explain(&error);
                return Err(self
                    .failed_at(granting.client, status.pending, reason)
                    .await);
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(status.pending)
    }

    /// What failed of these steps, by what the database says is left.
    async fn failed_at(
        &self,
        client: &Client,
        mut steps: Vec<String>,
        reason: String,
    ) -> MigrationError {
        let left = self.status(client).await.map(|status| status.pending);
        let is_left = |name: &String| left.as_ref().is_ok_and(|left| left.first() == Some(name));
        match steps.iter().position(is_left) {
            Some(at) => {
                let name = steps.swap_remove(at);
                steps.truncate(at);
                MigrationError::Failed {
                    name,
                    reason,
                    before: steps,
                }
            }
            // The connection is gone, or what failed came after the last of them.
            None => MigrationError::Driver(format!("migrating failed: {reason}")),
        }
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
            let mut tries = 1;
            while let Err(error) = undo(client, step.undo, row.version).await {
                if tries == TRIES || !may_be_tried_again(&error) {
                    return Err(MigrationError::Failed {
                        name: step.name(),
                        reason: describe(&error),
                        before: undone,
                    });
                }
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            undone.push(step.name());
        }
        Ok(undone)
    }

    /// Takes the lock that keeps other replicas out. It belongs to the session.
    async fn lock(&self, client: &Client) -> Result<(), MigrationError> {
        client.batch_execute(WAIT_FOR_OTHERS).await?;
        client
            .execute("SELECT pg_advisory_lock($1)", &[&self.lock_key])
            .await?;
        client.batch_execute(WAIT_FOR_TABLES).await?;
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

/// Undoes a step and forgets it.
async fn undo(client: &mut Client, text: &str, version: i32) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(text).await?;
    let forget = "DELETE FROM refinery_schema_history WHERE version = $1";
    transaction.execute(forget, &[&version]).await?;
    transaction.commit().await
}

/// Whether nothing but somebody else's lock was in the way.
fn may_be_tried_again(error: &tokio_postgres::Error) -> bool {
    let busy = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| busy.contains(code))
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
    driver_error(error).map_or_else(|| error.to_string(), describe)
}

fn driver_error(error: &refinery::Error) -> Option<&tokio_postgres::Error> {
    std::error::Error::source(error).and_then(<dyn std::error::Error>::downcast_ref)
}
