//! The schema in steps, each applied once and each with an undo.
//!
//! A folder holds two files a step, `V0001__create_users.sql` and `V0001__create_users.down.sql`, and is embedded into
//! the program. refinery applies the first kind and keeps the history in `refinery_schema_history`; it knows no undo,
//! so [`Migrations::down`] runs the second kind itself.
//!
//! # What a run does and holds
//!
//! 1. `SET statement_timeout = 0` and `SET lock_timeout = '60s'`: a run that waits for another replica fails after a minute,
//!    whatever the role says of statements.
//! 2. `pg_advisory_lock(key)`: replicas that start together migrate one after the other. The lock belongs to the
//!    session, not to a transaction, because each step is a transaction of its own. It needs a direct connection: a
//!    pooler in transaction mode would give lock and statements to different sessions.
//! 3. History and folder are compared only now, because another replica may have migrated while this one waited.
//! 4. `SET lock_timeout = '2s'`: a statement that waits for a table which is in use (by a backup, say) has everybody wait who
//!    comes after it. So it gives up soon, and the step is tried again after a pause, for about a minute; the same when it
//!    loses a deadlock.
//! 5. Each pending step runs in a transaction together with its row of the history and the privileges of the service's
//!    role ([`Grants`](crate::Grants)).
//! 6. `pg_advisory_unlock(key)`, also after a failure. If the run is cancelled or the process dies, the session ends and
//!    the lock with it; a step that was under way is rolled back.
//!
//! # What is refused
//!
//! A database whose encoding is not UTF-8 ([`MigrationError::Encoding`]). An applied step whose name or text has changed ([`MigrationError::Diverged`]), one that is unknown and older than the
//! newest known one ([`MigrationError::Unknown`]), and a pending step that is older than an applied one
//! ([`MigrationError::OutOfOrder`]). An applied step that is *newer* than any known one is legal: during a rolling
//! deployment the previous release meets the schema of the next one, and [`Status::newer`] lists such steps.

mod apply;
mod error;

use std::{collections::BTreeMap, fmt};

use include_dir::{Dir, File};
use refinery::Migration;
use tokio_postgres::{Client, Row, error::SqlState};

pub use self::error::MigrationError;
use crate::{DatabaseError, ReadExecutor, ReadQuery};

/// The steps of a folder.
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    folder: &'static Dir<'static>,
    lock_key: i64,
}

/// One step of the schema.
#[derive(Debug, Clone)]
pub struct Step {
    /// The step itself, as refinery knows it.
    pub migration: Migration,
    /// The SQL that undoes it.
    pub undo: &'static str,
}

impl Step {
    /// `V0001__name`: the file's name without its ending.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(self.migration.version(), self.migration.name())
    }
}

fn name_of(version: i32, name: &str) -> String {
    format!("V{version:04}__{name}")
}

/// A migration that has been applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i32,
    /// Its name.
    pub name: String,
    /// When it was applied, in RFC 3339, as refinery wrote it.
    pub applied_on: String,
    checksum: String,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name_of(self.version, &self.name))
    }
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

/// How the schema of a database compares with the folder.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What has been applied, oldest first.
    pub applied: Vec<Applied>,
    /// What would be applied, oldest first.
    pub pending: Vec<String>,
    /// Applied, and newer than any step of the folder: a later release has migrated.
    pub newer: Vec<String>,
}

/// How a schema compares with the folder, in numbers, for health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// How many migrations have been applied.
    pub applied: usize,
    /// How many would be applied.
    pub pending: usize,
    /// Whether what was applied is what the folder has.
    pub agrees: bool,
}

impl Comparison {
    /// Whether this program can work with the schema.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.agrees && self.pending == 0
    }
}

/// What the name of an undo file ends with, before `.sql`.
const UNDO: &str = ".down";

static HISTORY: ReadQuery = ReadQuery::new(
    "schema_history_list",
    "
SELECT version, name, applied_on, checksum
FROM refinery_schema_history
ORDER BY version",
    &[],
);

impl Migrations {
    /// The steps of an embedded folder.
    ///
    /// `lock_key` is the key of the advisory lock that a run holds. Any number works, as long as every release of the
    /// same service uses the same one and nothing else in the database does.
    #[must_use]
    pub const fn new(folder: &'static Dir<'static>, lock_key: i64) -> Self {
        Self { folder, lock_key }
    }

    /// The steps, oldest first.
    pub fn steps(&self) -> Result<Vec<Step>, MigrationError> {
        let mut by_version = BTreeMap::new();
        for file in self.folder.files() {
            let name = file.path().to_string_lossy().into_owned();
            let stem = name.strip_suffix(".sql");
            let Some(stem) = stem.filter(|stem| !stem.ends_with(UNDO)) else {
                continue;
            };
            let built_in = self.step(file, stem)?;
            if let Some(other) = by_version.insert(built_in.migration.version(), built_in) {
                return Err(unusable(
                    stem,
                    format!("it has the number of {}", other.name()),
                ));
            }
        }
        Ok(by_version.into_values().collect())
    }

    fn step(&self, file: &'static File<'static>, stem: &str) -> Result<Step, MigrationError> {
        let undo = self
            .folder
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

    /// Compares a database with the folder, in numbers. What cannot be reconciled is a result, not an error.
    pub async fn compare_with(&self, db: &impl ReadExecutor) -> Result<Comparison, DatabaseError> {
        let rows = match db.rows(&HISTORY, &[]).await {
            Ok(rows) => rows,
            // No table: nothing was ever applied.
            Err(DatabaseError::Failed { state, .. })
                if state == SqlState::UNDEFINED_TABLE.code() =>
            {
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let applied = rows
            .iter()
            .map(Applied::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        let count = applied.len();
        Ok(match self.compare(applied) {
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

    /// Refuses a database that cannot store every character. Nothing is noticed otherwise before somebody sends one that it
    /// lacks, and then the statement fails.
    ///
    /// # Errors
    ///
    /// [`MigrationError::Encoding`], or when the database does not answer.
    pub async fn check_encoding(client: &Client) -> Result<(), MigrationError> {
        // Not prepared: the connection may lead through a pooler.
        let encoding = "SELECT current_setting('server_encoding') AS encoding";
        let rows = client.query_typed(encoding, &[]).await?;
        let encoding: String = rows
            .first()
            .map_or(Ok(String::new()), |row| row.try_get("encoding"))?;
        if encoding == "UTF8" {
            return Ok(());
        }
        Err(MigrationError::Encoding(encoding))
    }

    /// Compares a database with the folder. What cannot be reconciled is an error.
    pub async fn status(&self, client: &Client) -> Result<Status, MigrationError> {
        Self::check_encoding(client).await?;
        let present = "SELECT to_regclass('refinery_schema_history') IS NOT NULL AS present";
        let table = client.query_typed(present, &[]).await?;
        let table = table.first().map(|row| row.try_get("present"));
        if !table.transpose()?.unwrap_or(false) {
            return self.compare(Vec::new());
        }
        let rows = match client.query_typed(HISTORY.sql(), &[]).await {
            Ok(rows) => rows,
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                let role = client
                    .query_typed("SELECT current_user::text AS role", &[])
                    .await?;
                let role = role
                    .first()
                    .map_or(Ok(String::new()), |row| row.try_get("role"))?;
                return Err(MigrationError::Denied(role));
            }
            Err(error) => return Err(error.into()),
        };
        self.compare(
            rows.iter()
                .map(Applied::try_from)
                .collect::<Result<_, _>>()?,
        )
    }

    fn compare(&self, applied: Vec<Applied>) -> Result<Status, MigrationError> {
        let steps = self.steps()?;
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
}

fn unusable(stem: &str, reason: impl Into<String>) -> MigrationError {
    MigrationError::Unusable {
        file: format!("{stem}.sql"),
        reason: reason.into(),
    }
}
