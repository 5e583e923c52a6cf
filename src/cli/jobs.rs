//! `jobs`: look at jobs, try them again, or remove them.

use std::{process::ExitCode, time::Duration};

use crate::{
    features::jobs::{self, JobId},
    settings::Settings,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Jobs {
    /// List the newest jobs
    List {
        /// Only those in this state
        #[arg(long, value_parser = ["queued", "running", "dead"])]
        state: Option<String>,
        /// Only those of this kind
        #[arg(long)]
        kind: Option<String>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show everything about a job
    Show {
        /// Its id
        id: JobId,
    },
    /// Make a dead or waiting job due now, with all its attempts
    Retry {
        /// Its id
        #[arg(required_unless_present = "kind")]
        id: Option<JobId>,
        /// Instead: every dead job of this kind
        #[arg(long, conflicts_with = "id")]
        kind: Option<String>,
    },
    /// Remove a job in any state; one that runs is cut off
    Cancel {
        /// Its id
        id: JobId,
    },
    /// Remove dead jobs
    Purge {
        /// Those that have been dead for so many days; without it, for `JOBS_KEEP_DEAD_DAYS`
        #[arg(long)]
        days: Option<u32>,
        /// Only those of this kind
        #[arg(long)]
        kind: Option<String>,
    },
}

impl Jobs {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let jobs = super::connected(settings).await?.jobs;
        match self {
            Self::List { state, kind, limit } => {
                list(jobs.list(state.as_deref(), kind.as_deref(), limit).await?);
            }
            Self::Show { id } => {
                let fields = jobs.show(id).await?;
                anyhow::ensure!(!fields.is_empty(), "{}", unknown(id));
                for (name, value) in fields {
                    say!("{name:14} {}", printable(&value));
                }
            }
            Self::Retry { id: Some(id), .. } => retry(&jobs, id).await?,
            Self::Retry { kind, .. } => retry_dead(&jobs, &kind.unwrap_or_default()).await?,
            Self::Cancel { id } => {
                anyhow::ensure!(jobs.cancel(id).await?, "{}", unknown(id));
                say!("removed {id}");
            }
            Self::Purge { days, kind } => {
                let age = days.map(|days| Duration::from_hours(24) * days);
                let age = age.unwrap_or(settings.jobs.keep_dead);
                let removed = jobs.purge(age, kind.as_deref()).await?;
                say!("removed {removed} dead jobs");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn unknown(id: JobId) -> String {
    format!("there is no job {id}; one that succeeded is removed")
}

async fn retry(jobs: &jobs::Jobs, id: JobId) -> anyhow::Result<()> {
    match jobs.retry(id).await {
        Err(error) if error.violates("jobs_unique_key") => {
            anyhow::bail!("another job with the key of {id} waits or runs")
        }
        outcome => anyhow::ensure!(
            outcome?,
            "{}, and one that runs is not retried",
            unknown(id)
        ),
    }
    say!("{id} is due");
    Ok(())
}

async fn retry_dead(jobs: &jobs::Jobs, kind: &str) -> anyhow::Result<()> {
    let (due, kept) = jobs.retry_dead(kind).await?;
    say!("{due} jobs of the kind {kind} are due");
    if kept > 0 {
        say!("{kept} stay dead, because another with their key waits or runs");
    }
    Ok(())
}

/// Columns as wide as what stands in them.
fn list(jobs: Vec<[Option<String>; 9]>) {
    let head = jobs::Jobs::COLUMNS.map(str::to_uppercase);
    let cells = jobs
        .into_iter()
        .map(|row| row.map(|cell| cell.map_or_else(|| "-".to_owned(), |text| printable(&text))));
    let rows: Vec<_> = std::iter::once(head).chain(cells).collect();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let lengths = rows.iter().map(|row| row[column].chars().count());
            let width = lengths.max().unwrap_or_default();
            format!("{cell:width$}")
        });
        say!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// Without what a terminal would obey.
fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}
