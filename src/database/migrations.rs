//! The schema, in steps that are applied once and can be undone.
//!
//! refinery applies `V0001__name.sql` and keeps its history. It knows no undo,
//! so `V0001__name.down.sql` beside it is run by this module, which also holds
//! an advisory lock around everything: replicas may start together.

use std::{collections::BTreeMap, fmt};

use include_dir::{Dir, File, include_dir};
use refinery_core::{
    AsyncMigrate, Migration, Runner,
    traits::r#async::{AsyncQuery, AsyncTransaction},
};
use tokio_postgres::{Client, Row, error::SqlState};

use super::{
    error::DatabaseError,
    grants::Grants,
    statement::{Executor, Query},
};

/// The folder as it was when the program was built.
static FOLDER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/migrations");

/// Any number will do, as long as it is always the same.
const LOCK: i64 = 0x7761_7270_736b_656c;

/// How long to wait for another replica's migrations, or for a busy table.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '60s'";

/// One step of the schema.
#[derive(Debug, Clone)]
pub struct Step {
    /// The step itself, as refinery knows it.
    pub migration: Migration,
    /// What undoes it.
    pub undo: &'static str,
}

impl Step {
    /// `V0001__name`, as its file is called.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(self.migration.version(), self.migration.name())
    }
}

fn name_of(version: i32, name: &str) -> String {
    format!("V{version:04}__{name}")
}

/// Why migrations stop.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A file of the folder cannot be used: a mistake in the program.
    #[error("migrations/{file}: {reason}")]
    Unusable {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An applied migration is no longer what it was.
    #[error(
        "migration {0} was applied and has changed since: restore it (`git checkout -- migrations/{0}.sql`) and write a new one instead (`make migrate-create`)"
    )]
    Diverged(String),
    /// An applied migration is unknown to this program and older than the newest it knows.
    #[error(
        "migration {0} was applied, but this program does not have it; was its file deleted or renamed?"
    )]
    Unknown(String),
    /// A migration would have to be applied before one that already is.
    #[error("migration {0} is older than the newest applied one; give it a newer number")]
    OutOfOrder(String),
    /// There are migrations to apply.
    #[error("{} pending: {}; run `migrate up` (in a checkout: `make migrate`), or start with `serve --migrate`", if .0.len() == 1 { "1 migration is".to_owned() } else { format!("{} migrations are", .0.len()) }, .0.join(", "))]
    Pending(Vec<String>),
    /// refinery could not apply one.
    #[error("migrating failed: {0}")]
    Failed(String),
    /// A statement of this module failed.
    #[error("{0}")]
    Driver(String),
}

impl From<tokio_postgres::Error> for MigrationError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(describe(&error))
    }
}

/// What PostgreSQL said, which the driver's own text leaves out.
fn describe(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |server| format!("{} (SQLSTATE {})", server.message(), server.code().code()),
    )
}

/// A migration that has been applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i32,
    /// Its name.
    pub name: String,
    /// When, as refinery wrote it down.
    pub applied_on: String,
    checksum: String,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name_of(self.version, &self.name))
    }
}

/// How the schema of a database compares with this program.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What has been applied, oldest first.
    pub applied: Vec<Applied>,
    /// What this program would apply, oldest first.
    pub pending: Vec<String>,
    /// Applied, and newer than any this program knows: a later release is about.
    pub newer: Vec<String>,
}

/// The steps built into this program, oldest first.
pub fn steps() -> Result<Vec<Step>, MigrationError> {
    let mut by_version = BTreeMap::new();
    for file in FOLDER.files() {
        let name = file.path().to_string_lossy().into_owned();
        let stem = name.strip_suffix(".sql");
        let Some(stem) = stem.filter(|stem| !stem.ends_with(UNDO)) else {
            continue;
        };
        let built_in = step(file, stem)?;
        if let Some(other) = by_version.insert(built_in.migration.version(), built_in) {
            return Err(unusable(
                stem,
                format!("it has the number of {}", other.name()),
            ));
        }
    }
    Ok(by_version.into_values().collect())
}

/// What the name of an undo file ends with, before `.sql`.
const UNDO: &str = ".down";

fn step(file: &'static File<'static>, stem: &str) -> Result<Step, MigrationError> {
    let undo = FOLDER
        .get_file(format!("{stem}{UNDO}.sql"))
        .ok_or_else(|| unusable(stem, format!("there is no {stem}{UNDO}.sql beside it")))?;
    let text = |file: &'static File<'static>| {
        let text = file.contents_utf8();
        text.ok_or_else(|| unusable(stem, "it, or its undo, is not UTF-8"))
    };
    let migration = Migration::unapplied(stem, text(file)?);
    Ok(Step {
        migration: migration.map_err(|error| unusable(stem, error.to_string()))?,
        undo: text(undo)?,
    })
}

fn unusable(stem: &str, reason: impl Into<String>) -> MigrationError {
    MigrationError::Unusable {
        file: format!("{stem}.sql"),
        reason: reason.into(),
    }
}

/// How a schema compares with this program, in numbers, for whoever only looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// How many migrations have been applied.
    pub applied: usize,
    /// How many this program would apply.
    pub pending: usize,
    /// Whether what was applied is what this program has.
    pub agrees: bool,
}

impl Comparison {
    /// Whether this program can work with the schema.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.agrees && self.pending == 0
    }
}

static HISTORY: Query = Query {
    name: "schema_history_list",
    sql: "
SELECT version, name, applied_on, checksum
FROM refinery_schema_history
ORDER BY version",
    types: &[],
};

/// Compares through a connection of the service.
pub async fn compare_with(db: &impl Executor) -> Result<Comparison, DatabaseError> {
    let rows = match db.rows(&HISTORY, &[]).await {
        Ok(rows) => rows,
        // No table: nothing was ever applied.
        Err(DatabaseError::Failed { state, .. }) if state == SqlState::UNDEFINED_TABLE.code() => {
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    let applied = rows
        .iter()
        .map(Applied::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    let count = applied.len();
    Ok(match compare(applied) {
        Ok(status) => Comparison {
            applied: count,
            pending: status.pending.len(),
            agrees: true,
        },
        Err(_) => Comparison {
            applied: count,
            pending: 0,
            agrees: false,
        },
    })
}

/// Compares a database with this program. What cannot be reconciled is an error.
pub async fn status(client: &Client) -> Result<Status, MigrationError> {
    let table = client
        .query_one(
            "SELECT to_regclass('refinery_schema_history') IS NOT NULL AS present",
            &[],
        )
        .await?;
    if !table.try_get::<_, bool>("present")? {
        return compare(Vec::new());
    }
    let rows = client.query(HISTORY.sql, &[]).await?;
    compare(
        rows.iter()
            .map(Applied::try_from)
            .collect::<Result<_, _>>()?,
    )
}

impl TryFrom<&Row> for Applied {
    type Error = tokio_postgres::Error;

    fn try_from(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            version: row.try_get("version")?,
            name: row.try_get("name")?,
            applied_on: row.try_get("applied_on")?,
            checksum: row.try_get("checksum")?,
        })
    }
}

fn compare(applied: Vec<Applied>) -> Result<Status, MigrationError> {
    let steps = steps()?;
    let newest_known = steps.last().map_or(0, |step| step.migration.version());
    let newest_applied = applied.last().map_or(0, |applied| applied.version);
    let mut newer = Vec::new();
    for row in &applied {
        let known = steps
            .iter()
            .find(|step| step.migration.version() == row.version);
        match known {
            Some(step)
                if step.migration.checksum().to_string() == row.checksum
                    && step.migration.name() == row.name => {}
            Some(step) => return Err(MigrationError::Diverged(step.name())),
            None if row.version > newest_known => newer.push(row.to_string()),
            None => return Err(MigrationError::Unknown(row.to_string())),
        }
    }
    let mut pending = Vec::new();
    for step in &steps {
        let version = step.migration.version();
        if applied.iter().any(|row| row.version == version) {
            continue;
        }
        if version < newest_applied {
            return Err(MigrationError::OutOfOrder(step.name()));
        }
        pending.push(step.name());
    }
    Ok(Status {
        applied,
        pending,
        newer,
    })
}

/// Applies what is pending, in order, each in a transaction that ends with the grants. With nothing
/// pending, grants all the same. Returns what was applied.
pub async fn up(client: &mut Client, grants: &Grants<'_>) -> Result<Vec<String>, MigrationError> {
    lock(client).await?;
    let outcome = up_locked(client, grants).await;
    unlock(client, outcome).await
}

async fn up_locked(
    client: &mut Client,
    grants: &Grants<'_>,
) -> Result<Vec<String>, MigrationError> {
    // Another replica may have been first while we waited for the lock.
    let status = status(client).await?;
    let mut granting = Granting { client, grants };
    if status.pending.is_empty() {
        granting.execute(std::iter::empty()).await?;
        return Ok(Vec::new());
    }
    let migrations: Vec<_> = steps()?.into_iter().map(|step| step.migration).collect();
    Runner::new(&migrations)
        .set_abort_divergent(true)
        .set_abort_missing(false)
        .run_async(&mut granting)
        .await
        .map_err(|error| MigrationError::Failed(explain(&error)))?;
    Ok(status.pending)
}

/// A connection whose transactions end with the grants.
///
/// refinery makes a transaction for each migration, of its text and its line in the history, and
/// leaves how to run one to the connection. So the grants are part of it without being part of the
/// text, whose checksum stays what it was for databases that are already there.
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

/// refinery's message, and PostgreSQL's below it.
fn explain(error: &refinery_core::Error) -> String {
    let cause = std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause.map_or_else(|| error.to_string(), describe)
}

/// Undoes the last `count` migrations, newest first, each in a transaction. Returns what was undone.
pub async fn down(client: &mut Client, count: usize) -> Result<Vec<String>, MigrationError> {
    lock(client).await?;
    let outcome = down_locked(client, count).await;
    unlock(client, outcome).await
}

async fn down_locked(client: &mut Client, count: usize) -> Result<Vec<String>, MigrationError> {
    let status = status(client).await?;
    if let Some(newer) = status.newer.into_iter().next() {
        return Err(MigrationError::Unknown(newer));
    }
    let steps = steps()?;
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

/// Takes the lock that keeps other replicas out. It belongs to the connection.
async fn lock(client: &Client) -> Result<(), MigrationError> {
    client.batch_execute(LOCK_TIMEOUT).await?;
    client
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK])
        .await?;
    Ok(())
}

/// Lets others in again. A failure to is worth less than the failure before it.
async fn unlock<T>(
    client: &Client,
    outcome: Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    let unlocked = client
        .execute("SELECT pg_advisory_unlock($1)", &[&LOCK])
        .await;
    let value = outcome?;
    unlocked?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_undone_and_numbers_have_no_gaps() {
        let steps = steps().unwrap();

        let versions: Vec<_> = steps.iter().map(|step| step.migration.version()).collect();
        let expected: Vec<_> = (1..).take(steps.len()).collect();
        assert_eq!(versions, expected);
    }
}
