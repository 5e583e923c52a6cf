//! The classes of failure that callers can tell apart.
//!
//! The driver reports one error type for everything. A service needs to know a few things about a failure: is the
//! database out of reach (answer 503, try again), did another transaction win (the same), did a named constraint refuse the
//! values (tell the client), did the statement take too long, or is it a mistake in the program (answer 500, look at it).
//! [`DatabaseError`] is that classification; `sqlstate.rs` has the table from PostgreSQL's codes to it. PostgreSQL's detail
//! lines quote values, so they are dropped here and never reach a log.

use std::{error::Error as _, io, sync::Arc};

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::{DbError, SqlState};

use crate::sqlstate::{Class, class_of};

/// Why a statement, or the connection it needed, failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DatabaseError {
    /// The server refuses connections, is shutting down, or a connection broke. No load brings that about.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Option<Arc<dyn std::error::Error + Send + Sync>>),
    /// The server takes no writes (25006): it became a standby, or an operator made it read-only. Connections to it are
    /// closed, and new ones find the server that does when the address names both.
    #[error("the database is read-only, which `{query}` is not")]
    ReadOnly {
        /// The name of the statement.
        query: &'static str,
    },
    /// Every connection of the pool stayed busy for the whole pool timeout.
    #[error("no database connection became free in time")]
    PoolExhausted,
    /// No connection could be opened in time: the server is out of reach, or has too much to do.
    #[error("no database connection could be opened in time")]
    ConnectTimeout,
    /// The server lacks what the statement or the connection needs: connections, memory, disk space (class 53), or a pooler
    /// has no session for it.
    #[error("the database has no resources left")]
    OutOfResources(#[source] Message),
    /// A statement ran longer than the statement timeout, or waited too long for a lock.
    #[error("the statement `{query}` took too long")]
    Timeout {
        /// The name of the statement.
        query: &'static str,
    },
    /// Another transaction won: a serialization failure or a deadlock. Nothing of the statement's transaction happened, so
    /// the same transaction may be tried again as a whole.
    #[error("the statement `{query}` lost a conflict with another transaction (SQLSTATE {state})")]
    Conflict {
        /// The name of the statement.
        query: &'static str,
        /// PostgreSQL's code, of class 40.
        state: String,
    },
    /// The server does not know the prepared statement, or a migration changed what it returns. It is prepared again the next
    /// time; a statement outside a transaction has been repeated already.
    #[error("the prepared statement `{query}` is no longer valid (SQLSTATE {state})")]
    Outdated {
        /// The name of the statement.
        query: &'static str,
        /// PostgreSQL's code.
        state: String,
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
            Self::ReadOnly { .. } => "read_only",
            Self::PoolExhausted => "pool_exhausted",
            Self::ConnectTimeout => "connect_timeout",
            Self::OutOfResources(_) => "out_of_resources",
            Self::Timeout { .. } => "timeout",
            Self::Conflict { .. } => "conflict",
            Self::Outdated { .. } => "outdated_statement",
            Self::Constraint { name, .. } => name,
            Self::InvalidColumn(_) => "unreadable",
            Self::Failed { state, .. } => state,
        }
    }

    /// PostgreSQL's code of a conflict, an outdated statement or an unexpected failure.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Failed { state, .. } if state != "none" => Some(state),
            Self::Conflict { state, .. } | Self::Outdated { state, .. } => Some(state),
            Self::ReadOnly { .. } => Some(SqlState::READ_ONLY_SQL_TRANSACTION.code()),
            _ => None,
        }
    }

    /// Classifies the driver's error about the statement of this name.
    pub(crate) fn from_driver(query: &'static str, error: tokio_postgres::Error) -> Self {
        if let Some(server) = error.as_db_error() {
            return Self::from_server(query, server);
        }
        let io = error
            .source()
            .and_then(<dyn std::error::Error>::downcast_ref);
        if io.is_some_and(is_shortage) {
            return Self::OutOfResources(Message(error.to_string()));
        }
        // Whatever goes wrong while connecting (no TLS, no password, another protocol) serves nobody until it is mended.
        let is_gone = error.is_closed() || io.is_some() || query == CONNECT;
        if is_gone || error.to_string().starts_with("error connecting") {
            return Self::Unreachable(Some(Arc::new(error)));
        }
        Self::Failed {
            query,
            state: "none".to_owned(),
            message: Message(error.to_string()),
        }
    }

    fn from_server(query: &'static str, server: &DbError) -> Self {
        let state = server.code().code().to_owned();
        let message = || Message(format!("{} (SQLSTATE {state})", server.message()));
        match class_of(server) {
            Class::OutOfResources => Self::OutOfResources(message()),
            // A server that refuses the connection (a rotated password, a missing database) serves nobody until it is mended.
            _ if query == CONNECT => Self::Unreachable(Some(Arc::new(message()))),
            Class::Unreachable => Self::Unreachable(Some(Arc::new(message()))),
            Class::ReadOnly => Self::ReadOnly { query },
            Class::Timeout => Self::Timeout { query },
            Class::Conflict => Self::Conflict { query, state },
            Class::Outdated => Self::Outdated { query, state },
            Class::Constraint => Self::Constraint {
                name: server.constraint().unwrap_or_default().to_owned(),
                kind: match *server.code() {
                    SqlState::UNIQUE_VIOLATION => ConstraintKind::Unique,
                    SqlState::FOREIGN_KEY_VIOLATION => ConstraintKind::ForeignKey,
                    _ => ConstraintKind::Other,
                },
            },
            Class::Failed => Self::Failed {
                query,
                state,
                message: Message(message_without_values(server)),
            },
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
                | Self::ReadOnly { .. }
                | Self::PoolExhausted
                | Self::ConnectTimeout
                | Self::OutOfResources(_)
                | Self::Timeout { .. }
        )
    }

    /// Whether the same request may succeed when it is made again shortly: answer 503. An outage, a lost conflict, or a
    /// prepared statement that is no longer valid.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.is_outage() || self.is_refused_whole()
    }

    /// Whether the server refused a statement of which nothing happened, and which it may accept the next time. Outside a
    /// transaction such a statement is repeated, also one that writes.
    pub(crate) fn is_refused_whole(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Outdated { .. })
    }
}

/// The name under which attempts to connect fail.
pub(crate) const CONNECT: &str = "connect";

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
            PoolError::Backend(error) => Self::from_driver(CONNECT, error),
            other => Self::Unreachable(Some(Arc::new(other))),
        }
    }
}

/// Whether this process, or a socket's queue, is short of something: many clients can bring that about, so it is no outage of
/// the database.
fn is_shortage(error: &io::Error) -> bool {
    // EMFILE and ENFILE are of no kind.
    const FILES: [i32; 2] = [24, 23];
    let kinds = [
        io::ErrorKind::WouldBlock,
        io::ErrorKind::OutOfMemory,
        io::ErrorKind::AddrNotAvailable,
    ];
    kinds.contains(&error.kind())
        || error
            .raw_os_error()
            .is_some_and(|code| FILES.contains(&code))
}

/// What the server says, but for invalid data and errors that SQL raises: there it repeats values.
fn message_without_values(server: &DbError) -> String {
    match server.code().code().get(..2) {
        Some("22" | "P0") => "its message is left out, because it repeats values".to_owned(),
        _ => server.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_of_this_process_is_told_from_a_database_that_is_gone() {
        for code in [23, 24] {
            assert!(is_shortage(&io::Error::from_raw_os_error(code)), "{code}");
        }
        assert!(is_shortage(&io::ErrorKind::AddrNotAvailable.into()));
        for kind in [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::UnexpectedEof,
        ] {
            assert!(!is_shortage(&kind.into()), "{kind}");
        }
    }
}
