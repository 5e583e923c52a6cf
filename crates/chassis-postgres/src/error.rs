//! The classes of failure that callers can tell apart.
//!
//! The driver reports one error type for everything. A service needs to know four things about a failure: is the
//! database out of reach (answer 503, try again), did a named constraint refuse the values (tell the client), did the
//! statement take too long, or is it a mistake in the program (answer 500, look at it). [`DatabaseError`] is that
//! classification. PostgreSQL's detail lines quote values, so they are dropped here and never reach a log.

use std::{error::Error as _, sync::Arc};

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

/// Why a statement, or the connection it needed, failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DatabaseError {
    /// The server refuses connections, is shutting down, or a connection broke. No load brings that about.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Option<Arc<dyn std::error::Error + Send + Sync>>),
    /// Every connection of the pool stayed busy for the whole pool timeout.
    #[error("no database connection became free in time")]
    PoolExhausted,
    /// No connection could be opened in time: the server is out of reach, or has too much to do.
    #[error("no database connection could be opened in time")]
    ConnectTimeout,
    /// The server lacks what the statement or the connection needs: connections, memory, disk space (class 53).
    #[error("the database has no resources left")]
    OutOfResources(#[source] Message),
    /// A statement ran longer than the statement timeout.
    #[error("the statement `{query}` took too long")]
    Timeout {
        /// The name of the statement.
        query: &'static str,
    },
    /// A named constraint was violated.
    #[error("the constraint `{name}` was broken")]
    Constraint {
        /// The constraint's name in the schema.
        name: String,
        /// What kind of constraint it is.
        kind: ConstraintKind,
    },
    /// A column holds a value that the program's type does not allow: schema and program disagree.
    #[error("the column `{0}` holds something unexpected")]
    InvalidColumn(&'static str),
    /// Any other failure: a mistake in the program.
    #[error("the statement `{query}` failed with SQLSTATE {state}")]
    Failed {
        /// The name of the statement.
        query: &'static str,
        /// PostgreSQL's code, or `none` when the driver failed.
        state: String,
        /// PostgreSQL's message, without the detail line that quotes values.
        #[source]
        message: Message,
    },
}

/// PostgreSQL's message, without values.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Message(pub(crate) String);

/// The kinds of constraint that a request can violate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    /// `UNIQUE` or `PRIMARY KEY`.
    Unique,
    /// `FOREIGN KEY`.
    ForeignKey,
    /// `CHECK`, `NOT NULL`, `EXCLUDE`.
    Other,
}

impl DatabaseError {
    /// The kind of failure as one word, for `error.type` of spans. A constraint is its name, an unexpected failure its SQLSTATE.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::PoolExhausted => "pool_exhausted",
            Self::ConnectTimeout => "connect_timeout",
            Self::OutOfResources(_) => "out_of_resources",
            Self::Timeout { .. } => "timeout",
            Self::Constraint { name, .. } => name,
            Self::InvalidColumn(_) => "unreadable",
            Self::Failed { state, .. } => state,
        }
    }

    /// PostgreSQL's code of an unexpected failure.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Failed { state, .. } if state != "none" => Some(state),
            _ => None,
        }
    }

    /// Classifies the driver's error about the statement of this name.
    pub(crate) fn from_driver(query: &'static str, error: tokio_postgres::Error) -> Self {
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
        if state.code().starts_with("53") {
            let message = format!("{} (SQLSTATE {})", server.message(), state.code());
            return Self::OutOfResources(Message(message));
        }
        // A server that refuses the connection (a rotated password, a missing database) serves nobody until it is mended.
        if means_not_now(state) || query == "connect" {
            let message = format!("{} (SQLSTATE {})", server.message(), state.code());
            return Self::Unreachable(Some(Arc::new(Message(message))));
        }
        Self::Failed {
            query,
            state: state.code().to_owned(),
            message: Message(server.message().to_owned()),
        }
    }

    /// Whether the named constraint was violated.
    #[must_use]
    pub fn violates(&self, constraint: &str) -> bool {
        matches!(self, Self::Constraint { name, .. } if name == constraint)
    }

    /// Whether the database, and not the statement, is the cause: the same statement may succeed later.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::PoolExhausted
                | Self::ConnectTimeout
                | Self::OutOfResources(_)
                | Self::Timeout { .. }
        )
    }
}

/// Codes that mean "not now" rather than "not like this": connections (08), the operator (57), the system (58),
/// a server that became read-only because it was demoted (25006), and a transaction that lost a conflict
/// with another one (40).
fn means_not_now(state: &SqlState) -> bool {
    let code = state.code();
    ["08", "57", "58", "40"]
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
            PoolError::Timeout(TimeoutType::Wait) => Self::PoolExhausted,
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => Self::ConnectTimeout,
            PoolError::Backend(error) => Self::from_driver("connect", error),
            other => Self::Unreachable(Some(Arc::new(other))),
        }
    }
}
