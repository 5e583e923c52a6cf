//! The job that removes dead jobs: the feature's own first user.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Handlers, Job, Jobs, Priority, Rule};

/// Removes the jobs that have been dead for longer than `JOBS_KEEP_DEAD_DAYS`.
#[derive(Debug, Serialize, Deserialize)]
struct PurgeDeadJobs {}

impl Job for PurgeDeadJobs {
    const KIND: &'static str = "jobs.purge_dead";
    const PRIORITY: Priority = Priority::Low;
    const TIMEOUT: Duration = Duration::from_mins(10);

    fn unique_key(&self) -> Option<String> {
        Some(String::new())
    }
}

/// Registers the jobs of this feature.
pub fn register(handlers: &mut Handlers, jobs: &Jobs) {
    let handle = jobs.clone();
    handlers.register(move |_: PurgeDeadJobs, _| {
        let jobs = handle.clone();
        async move {
            let age = jobs.inner().settings.keep_dead;
            let deleted_count = jobs.purge(age, None).await?;
            tracing::info!(deleted_count, "dead_jobs_purged");
            Ok(())
        }
    });
    let hourly = Rule::every(Duration::from_hours(1));
    handlers.schedule("jobs.purge_dead", hourly, PurgeDeadJobs {});
}
