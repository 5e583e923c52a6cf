//! What an operator does with jobs: look, try again, cancel, purge.

use std::time::Duration;

use chassis_postgres::DatabaseError;

use super::{JobId, Jobs, tables::jobs};

/// The number of dead jobs that one statement finds or removes.
const BATCH: u32 = 1000;

impl Jobs {
    /// What [`Jobs::list`] tells of each.
    pub const COLUMNS: [&str; 9] = jobs::COLUMNS;

    /// The newest jobs in this state and of this kind: a text for each of [`Jobs::COLUMNS`], where there is one.
    pub async fn list(
        &self,
        state: Option<&str>,
        kind: Option<&str>,
        limit: u32,
    ) -> Result<Vec<[Option<String>; 9]>, DatabaseError> {
        let reader = self.inner().database.reader();
        jobs::list(&reader, self.offset(), state, kind, limit).await
    }

    /// What the table says of a job, as names and texts. Nothing when there is none.
    pub async fn show(&self, id: JobId) -> Result<Vec<(String, String)>, DatabaseError> {
        jobs::show(&self.inner().database.reader(), id).await
    }

    /// Makes a dead or waiting job due now, with all its attempts. Returns whether there was one that does not run.
    ///
    /// # Errors
    ///
    /// The constraint `jobs_unique_key` when another with its key waits or runs.
    pub async fn retry(&self, id: JobId) -> Result<bool, DatabaseError> {
        let connection = self.inner().database.connection().await?;
        jobs::retry(&connection, self.offset(), id).await
    }

    /// Makes every dead job of a kind due now, with all its attempts. Returns how many, and how many stay dead because
    /// another with their key waits or runs.
    pub async fn retry_dead(&self, kind: &str) -> Result<(usize, usize), DatabaseError> {
        let (mut due, mut kept, mut last) = (0, 0, None);
        loop {
            let reader = self.inner().database.reader();
            let dead = jobs::find_dead(&reader, kind, last, BATCH).await?;
            let Some(newest) = dead.last().copied() else {
                return Ok((due, kept));
            };
            for id in dead {
                match self.retry(id).await {
                    Ok(is_due) => due += usize::from(is_due),
                    Err(error) if error.violates("jobs_unique_key") => kept += 1,
                    Err(error) => return Err(error),
                }
            }
            last = Some(newest);
        }
    }

    /// Removes a job. One that runs is cancelled at the next heartbeat of its worker. Returns whether there was one.
    pub async fn cancel(&self, id: JobId) -> Result<bool, DatabaseError> {
        jobs::delete(&self.inner().database.connection().await?, id).await
    }

    /// Removes the jobs that have been dead for so long, of one kind or of all. Returns how many.
    pub async fn purge(&self, age: Duration, kind: Option<&str>) -> Result<u64, DatabaseError> {
        let mut total = 0;
        loop {
            let connection = self.inner().database.connection().await?;
            let deleted = jobs::delete_dead(&connection, self.offset(), age, kind, BATCH).await?;
            total += deleted;
            if deleted < u64::from(BATCH) {
                return Ok(total);
            }
        }
    }
}
