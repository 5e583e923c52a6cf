//! What a job is, and what a run of it is given and can come to.

use std::{error::Error, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::shared::id;

id! {
    /// The id of a job, the same in each of its runs: what makes a repeated effect recognisable.
    JobId
}

/// Work of one kind. The fields are the payload: ids, but neither secrets nor addresses, in at most 8 KiB of JSON.
///
/// While a release is rolled out, replicas of both run each other's jobs: a field that is added has a default
/// (`#[serde(default)]`), and a kind whose fields change their meaning is another kind.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name in the table, in metrics and in log lines: at most 64 characters, like `mail.send`. It stays as long as rows
    /// of it exist.
    const KIND: &'static str;

    /// How long a handler may run. It is cancelled then, and the run has failed.
    const TIMEOUT: Duration = Duration::from_mins(1);

    /// Which of the jobs that are due come first.
    const PRIORITY: Priority = Priority::Normal;

    /// How many runs may fail.
    const MAX_ATTEMPTS: u32 = 10;

    /// The longest wait between two runs. With the default and ten attempts the longest is 21 minutes, all together 43.
    const LONGEST_WAIT: Duration = Duration::from_hours(1);

    /// At most one job of this kind with the same key waits or runs at a time. `None`: any number.
    fn unique_key(&self) -> Option<String> {
        None
    }
}

/// Which of the jobs that are due come first. The numbers are those of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(i16)]
pub enum Priority {
    /// Before all others: a person waits for it.
    High = 0,
    /// In between.
    #[default]
    Normal = 1,
    /// After all others: nobody waits for it.
    Low = 2,
}

impl Priority {
    /// All of them, the first first.
    pub(super) const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// As the table knows it.
    pub(super) const fn number(self) -> i16 {
        self as i16
    }
}

/// What a handler knows of the run that it is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The job.
    pub id: JobId,
    /// Which attempt this is, from 1 on.
    pub attempt: u32,
}

/// Why a run failed, and whether another one may succeed.
///
/// `?` makes one of any error, to be tried again. What it says is logged and kept, so it names no secrets and no addresses.
#[derive(Debug)]
pub struct JobError {
    pub(super) source: Box<dyn Error + Send + Sync>,
    pub(super) is_permanent: bool,
}

impl JobError {
    /// Another run would fail as well: the job is dead at once.
    pub fn permanent(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: error.into(),
            is_permanent: true,
        }
    }

    /// Another run may succeed. For what is no error, such as a text.
    pub fn retry(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: error.into(),
            is_permanent: false,
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}
