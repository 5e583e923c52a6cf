//! The settings of jobs.

use std::time::Duration;

use chassis_settings::{
    Declaration, Section, SettingError, Values, days, millis, number, seconds, settings,
};

settings! {
    /// how many jobs a process runs at once; 0: none
    JOBS_CONCURRENCY: usize = "4", number(0..=1000);

    /// how often a worker looks for jobs that another process enqueued
    JOBS_POLL_MS: Duration = "1000", millis(10);

    /// how long after the end of its process a job is run again; renewed every third of it
    JOBS_LEASE_SECONDS: Duration = "30", seconds(1..=3600);

    /// how often a job may lose its process before it is dead
    JOBS_MAX_LOSSES: u32 = "5", number(0..=1_000_000);

    /// how long dead jobs are kept
    JOBS_KEEP_DEAD_DAYS: Duration = "30", days(1..=3650);
}

/// The settings of jobs.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// How many jobs a process runs at once. Zero: none.
    pub concurrency: usize,
    /// The time between two looks for jobs that another process enqueued.
    pub poll: Duration,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
    /// How often a job may lose its process.
    pub max_losses: u32,
    /// How long dead jobs are kept.
    pub keep_dead: Duration,
}

impl JobSettings {
    /// The time between two renewals of leases. As long a failed one keeps this process from taking leases of others.
    pub(super) fn heartbeat(&self) -> Duration {
        self.lease / 3
    }
}

impl Section for JobSettings {
    const TITLE: &'static str = "Jobs";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        Ok(Self {
            concurrency: values.read(&JOBS_CONCURRENCY)?,
            poll: values.read(&JOBS_POLL_MS)?,
            lease: values.read(&JOBS_LEASE_SECONDS)?,
            max_losses: values.read(&JOBS_MAX_LOSSES)?,
            keep_dead: values.read(&JOBS_KEEP_DEAD_DAYS)?,
        })
    }
}
