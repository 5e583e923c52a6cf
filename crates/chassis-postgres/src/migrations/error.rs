//! Why migrations stop.

/// Why migrations stop. The texts name the migration and the cause; what to do about it is for the service to add.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A file of the folder cannot be used: a mistake in the program.
    #[error("the migration file {file} cannot be used: {reason}")]
    Unusable {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An applied migration is no longer what it was.
    #[error("migration {0} was applied and has changed since")]
    Diverged(String),
    /// An applied migration is not in the folder and older than the newest that is.
    #[error(
        "migration {0} was applied, but this program does not have it; was its file deleted or renamed?"
    )]
    Unknown(String),
    /// A migration would have to be applied before one that already is.
    #[error("migration {0} is older than the newest applied one; give it a newer number")]
    OutOfOrder(String),
    /// The database does not store text as UTF-8.
    #[error(
        "the database's encoding is {0}, and has to be UTF8: create it anew with `ENCODING 'UTF8' TEMPLATE template0`"
    )]
    Encoding(String),
    /// The role of the connection may not read the history.
    #[error("the role {0} may not read refinery_schema_history, which tells what was migrated")]
    Denied(String),
    /// There are migrations to apply.
    #[error("{} pending: {}", if .0.len() == 1 { "1 migration is".to_owned() } else { format!("{} migrations are", .0.len()) }, .0.join(", "))]
    Pending(Vec<String>),
    /// A step failed and was rolled back. The steps before it were committed, each for itself.
    #[error("migration {name} failed: {reason}{}", kept(.before))]
    Failed {
        /// The step.
        name: String,
        /// What PostgreSQL says.
        reason: String,
        /// The steps of this run that stay as they are.
        before: Vec<String>,
    },
    /// A statement about the history or the lock failed.
    #[error("{0}")]
    Driver(String),
}

fn kept(before: &[String]) -> String {
    match before {
        [] => String::new(),
        names => format!("; done before that, and kept: {}", names.join(", ")),
    }
}

impl From<tokio_postgres::Error> for MigrationError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(describe(&error))
    }
}

/// PostgreSQL's message and code, which the driver's own text leaves out.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |server| format!("{} (SQLSTATE {})", server.message(), server.code().code()),
    )
}
