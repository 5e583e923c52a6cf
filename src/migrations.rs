//! The schema of this service, and what to do when it does not fit.

use include_dir::{Dir, include_dir};

use chassis_postgres::{DatabaseSettings, MigrationError, Migrations};

static FOLDER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/migrations");

/// The key of the advisory lock that a run holds: always the same one, so that releases wait for each other.
const LOCK: i64 = 0x7761_7270_736b_656c;

/// The folder `migrations` as it was when the program was built.
pub static MIGRATIONS: Migrations = Migrations::new(&FOLDER, LOCK);

/// Adds to an error what the operator of this service can do about it.
#[must_use]
pub fn advise(error: MigrationError) -> anyhow::Error {
    let advice = match &error {
        MigrationError::Diverged(name) => format!(
            ": restore it (`git checkout -- migrations/{name}.sql`) and write a new one instead (`make migrate-create`)"
        ),
        MigrationError::Pending(_) => {
            "; run `migrate up` (in a checkout: `make migrate`), or start with `serve --migrate`"
                .to_owned()
        }
        MigrationError::Denied(_) => "; run `migrate up` as the role that owns the tables (MIGRATE_DATABASE_URL), which grants it: \
             docs/how-to/use-two-database-roles.md"
            .to_owned(),
        _ => return error.into(),
    };
    anyhow::anyhow!("{error}{advice}")
}

/// Refuses to migrate through a pooler: the lock that keeps other replicas out belongs to a session.
///
/// # Errors
///
/// When `DB_POOLER=transaction` and `MIGRATE_DATABASE_URL` is unset.
pub fn require_direct(settings: &DatabaseSettings) -> anyhow::Result<()> {
    anyhow::ensure!(
        !settings.migrates_through_pooler(),
        "DB_POOLER=transaction: migrations need a connection past the pooler, because their lock belongs to a session; \
         MIGRATE_DATABASE_URL says where"
    );
    Ok(())
}

/// The service does not see what was migrated: its settings and `MIGRATE_DATABASE_URL` lead to different places.
#[must_use]
pub fn elsewhere(settings: &DatabaseSettings) -> anyhow::Error {
    anyhow::anyhow!(
        "the schema is complete in {}, where MIGRATE_DATABASE_URL leads, and not in {}, where the service reads and \
         writes: both have to be the same database and schema",
        settings.migration_target.describe(),
        settings.target.describe()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_undone() {
        // Numbers may have gaps: features that were left out had some.
        assert!(!MIGRATIONS.steps().unwrap().is_empty());
    }
}
