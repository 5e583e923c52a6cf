//! What PostgreSQL did, in the words of this crate.

use std::{error::Error as _, sync::Arc};

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::web::Problem;

/// A statement, or the way to it, failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DatabaseError {
    /// The server is out, going down, or a connection broke.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Option<Arc<dyn std::error::Error + Send + Sync>>),
    /// Every connection of the pool was busy for as long as a request may wait.
    #[error("no database connection became free in time")]
    PoolExhausted,
    /// A statement ran longer than it may.
    #[error("the statement `{query}` took too long")]
    Timeout {
        /// The name of the statement.
        query: &'static str,
    },
    /// A named constraint was broken.
    #[error("the constraint `{name}` was broken")]
    Constraint {
        /// The constraint's name in the schema.
        name: String,
        /// What PostgreSQL said; it can quote values, so it is never shown.
        kind: ConstraintKind,
    },
    /// A row holds something its column should not: the schema and the program disagree.
    #[error("the column `{0}` holds something unexpected")]
    Unreadable(&'static str),
    /// Anything else: a mistake of ours.
    #[error("the statement `{query}` failed with SQLSTATE {state}")]
    Failed {
        /// The name of the statement.
        query: &'static str,
        /// PostgreSQL's code, or `none` when the driver failed.
        state: String,
        /// The message, without the detail line that quotes values.
        #[source]
        message: Message,
    },
}

/// What PostgreSQL said, without values.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Message(String);

/// The kinds of constraint that a request can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    /// A value that has to be the only one.
    Unique,
    /// A reference to a row that is not there.
    ForeignKey,
    /// Any other rule.
    Other,
}

impl DatabaseError {
    /// What kind of failure it is, in one of a few words.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::PoolExhausted => "pool_exhausted",
            Self::Timeout { .. } => "timeout",
            Self::Constraint { name, .. } => name,
            Self::Unreadable(_) => "unreadable",
            Self::Failed { state, .. } => state,
        }
    }

    /// PostgreSQL's code, when it gave one that was kept.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Failed { state, .. } if state != "none" => Some(state),
            _ => None,
        }
    }

    /// Translates what the driver says about the statement of this name.
    pub(super) fn from_driver(query: &'static str, error: tokio_postgres::Error) -> Self {
        let Some(server) = error.as_db_error() else {
            let broken = error.is_closed()
                || error
                    .source()
                    .is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
            if broken || error.to_string().starts_with("error connecting") {
                return Self::Unreachable(Some(Arc::new(error)));
            }
            let message = Message(error.to_string());
            return Self::Failed {
                query,
                state: "none".to_owned(),
                message,
            };
        };
        let state = server.code();
        if let Some(name) = server.constraint() {
            let kind = match *state {
                SqlState::UNIQUE_VIOLATION => ConstraintKind::Unique,
                SqlState::FOREIGN_KEY_VIOLATION => ConstraintKind::ForeignKey,
                _ => ConstraintKind::Other,
            };
            let name = name.to_owned();
            return Self::Constraint { name, kind };
        }
        if *state == SqlState::QUERY_CANCELED {
            return Self::Timeout { query };
        }
        if is_outage(state) {
            return Self::Unreachable(Some(Arc::new(error)));
        }
        Self::Failed {
            query,
            state: state.code().to_owned(),
            message: Message(server.message().to_owned()),
        }
    }

    /// Whether this is the named constraint.
    #[must_use]
    pub fn breaks(&self, constraint: &str) -> bool {
        matches!(self, Self::Constraint { name, .. } if name == constraint)
    }

    /// Whether the database, rather than the statement, is the trouble.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::PoolExhausted | Self::Timeout { .. }
        )
    }
}

/// Codes that say "not now" rather than "not so": connections (08), resources
/// (53), the operator (57), the system (58), a server that became read-only
/// under us (25006), and a transaction that lost to another (40).
fn is_outage(state: &SqlState) -> bool {
    let code = state.code();
    ["08", "53", "57", "58", "40"]
        .iter()
        .any(|class| code.starts_with(class))
        || *state == SqlState::READ_ONLY_SQL_TRANSACTION
}

/// Reading a column failed.
impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::from_driver("row", error)
    }
}

impl From<PoolError> for DatabaseError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => Self::PoolExhausted,
            PoolError::Backend(error) => Self::from_driver("connect", error),
            other => Self::Unreachable(Some(Arc::new(other))),
        }
    }
}

/// What every room does with a database failure it has no better word for.
impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        if error.is_outage() {
            return Problem::unavailable(error);
        }
        Problem::internal(error)
    }
}
