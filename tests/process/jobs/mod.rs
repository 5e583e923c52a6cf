//! Jobs on the built program: several processes, killed, stopped and cut off.
//!
//! The processes are `examples/jobs_program.rs`: the program itself with kinds of job that leave rows behind.

mod commands;
mod faults;
mod worker;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::{
    cluster,
    support::{Service, eventually},
};

/// The program with the kinds of these tests, built when it is missing or older than the program itself.
fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let service = Path::new(env!("CARGO_BIN_EXE_warp-skeleton"));
        let path = service.with_file_name("examples").join("jobs_program");
        let age = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
        if age(&path) < age(service) {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
            cargo.args(["build", "--quiet", "--locked", "--example", "jobs_program"]);
            assert!(cargo.status().unwrap().success(), "{cargo:?}");
        }
        path
    })
}

/// A database with a table of effects.
struct Queue {
    url: String,
    database: Client,
}

/// Settings under which a lost process is noticed soon.
const IMPATIENT: [(&str, &str); 2] = [("JOBS_LEASE_SECONDS", "2"), ("JOBS_POLL_MS", "200")];

impl Queue {
    async fn new() -> Self {
        Self::at(cluster::new_database().await).await
    }

    async fn at(url: String) -> Self {
        let database = cluster::connect(&url).await;
        let table = "
CREATE TABLE effects (
    key text NOT NULL,
    job uuid NOT NULL,
    attempt int NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
)";
        database.batch_execute(table).await.unwrap();
        Self { url, database }
    }

    fn start(&self, command: &str, settings: &[(&str, &str)]) -> Service {
        let settings = [IMPATIENT.as_slice(), settings].concat();
        Service::start_other(program(), command, &self.url, &settings)
    }

    fn serve(&self) -> Service {
        self.start("serve", &[])
    }

    /// Adds jobs with these keys.
    async fn add(&self, kind: &str, keys: &[&str]) -> Vec<Uuid> {
        self.try_add(kind, keys).await.unwrap()
    }

    async fn try_add(&self, kind: &str, keys: &[&str]) -> Result<Vec<Uuid>, Error> {
        let sql = "
INSERT INTO jobs (id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, created_at)
SELECT gen_random_uuid(), $1, jsonb_build_object('key', key), now(), 1, 'queued', 0, 3, 0, 0, now()
FROM unnest($2::text[]) AS key
RETURNING id";
        let rows = self.database.query(sql, &[&kind, &keys]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The same on a new connection.
    async fn again(self) -> Self {
        let database = cluster::connect(&self.url).await;
        Self { database, ..self }
    }

    async fn add_one(&self, kind: &str, key: &str) -> Uuid {
        self.add(kind, &[key]).await[0]
    }

    /// What the table says of a job: `state attempt/losses`, or nothing.
    async fn state(&self, id: Uuid) -> String {
        let sql = "
SELECT coalesce(max(state || ' ' || attempt || '/' || losses), 'gone')
FROM jobs
WHERE id = $1";
        self.database.query_one(sql, &[&id]).await.unwrap().get(0)
    }

    async fn count(&self, sql: &str) -> i64 {
        self.database.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// How often the effect of this key happened.
    async fn effects(&self, key: &str) -> i64 {
        let sql = "SELECT count(*) FROM effects WHERE key = $1";
        self.database.query_one(sql, &[&key]).await.unwrap().get(0)
    }

    /// Waits until the query counts this.
    #[track_caller]
    fn until(&self, what: &str, sql: &str, count: i64) {
        let seen = || {
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(self.count(sql))
            })
        };
        eventually(what, || (seen() == count).then_some(()));
    }

    /// Waits until the effect of this key happened so often.
    #[track_caller]
    fn until_effects(&self, key: &str, count: i64) {
        let sql = format!("SELECT count(*) FROM effects WHERE key = '{key}'");
        self.until(key, &sql, count);
    }

    /// Waits until no job of the tests is left that waits or runs.
    #[track_caller]
    fn until_done(&self) {
        let sql = "SELECT count(*) FROM jobs WHERE kind LIKE 'test.%' AND kind <> 'test.tick' AND state <> 'dead'";
        self.until("the end of all jobs", sql, 0);
    }

    /// Makes what waits due now.
    async fn hurry(&self) {
        let sql = "UPDATE jobs SET run_at = now() WHERE state = 'queued'";
        self.database.execute(sql, &[]).await.unwrap();
    }
}

/// Every line about the end of a run of this job.
fn ends_of(service: &Service, id: Uuid) -> Vec<String> {
    let lines = service.lines().into_iter();
    let ends =
        lines.filter(|line| line["message"] == "job_completed" && line["job_id"] == id.to_string());
    ends.map(|line| line["outcome"].as_str().unwrap().to_owned())
        .collect()
}
