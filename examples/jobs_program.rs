//! The program with kinds of job that show what happens to them: for tests, sieges and benchmarks.
//!
//! It is the real `serve` and `worker`, with these kinds registered besides the service's own:
//!
//! ```sh
//! cargo build --example jobs_program
//! target/debug/examples/jobs_program worker
//! ```
//!
//! Effects are rows of a table that whoever starts it creates:
//! `CREATE TABLE effects (key text NOT NULL, job uuid NOT NULL, attempt int NOT NULL, at timestamptz NOT NULL DEFAULT now())`.
//! A job is a row of `jobs`, as in `tests/process/jobs/mod.rs`.

use std::{
    process::{self, ExitCode},
    time::Duration,
};

use chassis_postgres::{Database, DatabaseError, Type, WriteExecutor, WriteQuery};
use serde::{Deserialize, Serialize};
use warp_skeleton::{
    app::App,
    cli,
    features::jobs::{Job, JobError, Jobs, Rule, Run},
};

fn main() -> ExitCode {
    cli::main_with(register)
}

static EFFECT: WriteQuery = WriteQuery::insert(
    "effects_insert",
    "INSERT INTO effects (key, job, attempt) VALUES ($1, $2, $3)",
    &[Type::TEXT, Type::UUID, Type::INT4],
);

/// Leaves a row.
async fn effect(database: &Database, key: &str, run: Run) -> Result<(), DatabaseError> {
    let connection = database.connection().await?;
    let attempt = i32::try_from(run.attempt).unwrap_or(i32::MAX);
    connection
        .execute(&EFFECT, &[&key, run.id.as_uuid(), &attempt])
        .await?;
    Ok(())
}

/// A kind whose payload is a key.
macro_rules! kind {
    ($(#[$about:meta])* $name:ident, $kind:literal $(, $item:ident: $type:ty = $value:expr)*) => {
        $(#[$about])*
        #[derive(Serialize, Deserialize)]
        struct $name {
            key: String,
        }

        impl Job for $name {
            const KIND: &'static str = $kind;
            $(const $item: $type = $value;)*
        }
    };
}

kind!(
    /// Does nothing.
    Empty, "test.empty"
);
kind!(
    /// Leaves a row.
    Effect, "test.effect"
);
kind!(
    /// Leaves a row, then another one by a job of the kind before.
    Parent, "test.parent"
);
kind!(
    /// Leaves a row, and ends after an hour.
    Sleep, "test.sleep", TIMEOUT: Duration = Duration::from_hours(2)
);
kind!(
    /// Leaves a row, and never ends.
    Hang, "test.hang", TIMEOUT: Duration = Duration::from_millis(500)
);
kind!(
    /// Leaves a row, waits for two seconds, and leaves another.
    Slow, "test.slow"
);
kind!(
    /// Leaves a row, and ends after six seconds without having asked the database for anything.
    Quiet, "test.quiet"
);
kind!(
    /// Leaves a row and fails.
    Fail, "test.fail", MAX_ATTEMPTS: u32 = 3
);
kind!(
    /// Leaves a row and panics.
    Panic, "test.panic", MAX_ATTEMPTS: u32 = 1
);
kind!(
    /// Leaves a row, and ends the process.
    Abort, "test.abort"
);
kind!(
    /// Leaves a row, each second.
    Tick, "test.tick"
);

/// Registers the kind whose handler leaves a row, and does this afterwards.
fn after_effect<J, F, R>(app: &mut App, key: fn(&J) -> &str, then: F)
where
    J: Job,
    F: Fn(Database, Jobs, J, Run) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = Result<(), JobError>> + Send + 'static,
{
    let (database, jobs) = (app.database.clone(), app.jobs.clone());
    app.handlers.register(move |job: J, run| {
        let (database, jobs, then) = (database.clone(), jobs.clone(), then.clone());
        async move {
            effect(&database, key(&job), run).await?;
            then(database, jobs, job, run).await
        }
    });
}

fn register(app: &mut App) {
    app.handlers.register(|_: Empty, _| async { Ok(()) });
    after_effect(app, |job: &Effect| &job.key, |_, _, _, _| async { Ok(()) });
    after_effect(
        app,
        |job: &Parent| &job.key,
        |database, jobs, job, _| async move {
            let transaction = database.begin().await?;
            let key = format!("child of {}", job.key);
            jobs.enqueue(&transaction, &Effect { key }).await?;
            transaction.commit().await?;
            jobs.wake();
            Ok(())
        },
    );
    after_effect(
        app,
        |job: &Sleep| &job.key,
        |_, _, _, _| async {
            tokio::time::sleep(Duration::from_hours(1)).await;
            Ok(())
        },
    );
    after_effect(
        app,
        |job: &Quiet| &job.key,
        |_, _, _, _| async {
            tokio::time::sleep(Duration::from_secs(6)).await;
            Ok(())
        },
    );
    after_effect(
        app,
        |job: &Hang| &job.key,
        |_, _, _, _| std::future::pending(),
    );
    after_effect(
        app,
        |job: &Slow| &job.key,
        |database, _, job, run| async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            effect(&database, &format!("end of {}", job.key), run).await?;
            Ok(())
        },
    );
    register_faults(app);
    after_effect(app, |job: &Tick| &job.key, |_, _, _, _| async { Ok(()) });
    let key = "tick".to_owned();
    let rule = Rule::every(Duration::from_secs(1));
    app.handlers.schedule("test.tick", rule, Tick { key });
}

/// The kinds that end badly.
fn register_faults(app: &mut App) {
    after_effect(
        app,
        |job: &Fail| &job.key,
        |_, _, _, _| async { Err(JobError::retry("it fails on purpose")) },
    );
    after_effect(
        app,
        |job: &Panic| &job.key,
        |_, _, _, _| async { panic!("it panics on purpose") },
    );
    after_effect(
        app,
        |job: &Abort| &job.key,
        |_, _, _, _| async { process::abort() },
    );
}
