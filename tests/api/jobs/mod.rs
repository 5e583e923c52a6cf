//! Jobs, in process: what is enqueued, run, put back and repeated. `tests/process/jobs/` kills whole processes.

mod claims;
mod enqueue;
mod leases;
mod metrics;
mod runs;
mod schedules;

use chassis_postgres::WriteExecutor;
use serde::{Deserialize, Serialize};
use warp_skeleton::features::jobs::{EnqueueError, Job, JobId};

use crate::support::TestApp;

/// A job that says what is to become of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Note {
    pub text: String,
    /// What its unique key is.
    pub key: Option<String>,
}

impl Note {
    pub fn saying(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            key: None,
        }
    }
}

impl Job for Note {
    const KIND: &'static str = "test.note";
    const MAX_ATTEMPTS: u32 = 3;

    fn unique_key(&self) -> Option<String> {
        self.key.clone()
    }
}

/// Enqueues a job in a transaction of its own.
pub async fn enqueue(app: &TestApp, job: &impl Job) -> JobId {
    let transaction = app.app.database.begin().await.unwrap();
    let id = enqueue_in(app, &transaction, job).await.unwrap();
    transaction.commit().await.unwrap();
    id.unwrap()
}

pub async fn enqueue_in(
    app: &TestApp,
    transaction: &impl WriteExecutor,
    job: &impl Job,
) -> Result<Option<JobId>, EnqueueError> {
    app.app.jobs.enqueue(transaction, job).await
}

/// What the table says of a job: `state attempt/losses`, or nothing.
pub async fn state_of(app: &TestApp, id: JobId) -> String {
    let sql = "
SELECT coalesce(max(state || ' ' || attempt || '/' || losses), 'gone')
FROM jobs
WHERE id = $1";
    app.value(sql, &[id.as_uuid()]).await
}
