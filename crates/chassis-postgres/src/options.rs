//! How a [`Database`](crate::Database) is used: sizes and time limits.

use std::time::Duration;

use crate::ConnectionTarget;

/// Sizes and time limits of a [`Database`](crate::Database).
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where to connect.
    pub target: ConnectionTarget,
    /// The most connections of the pool, for writes, transactions and lists.
    pub pool_size: usize,
    /// The number of connections that the shortest reads share; at least one. Probes have one more.
    pub read_connections: usize,
    /// How long to wait for a connection: for a free one of the pool, and for a new one to open.
    pub pool_timeout: Duration,
    /// How long a statement may run. The server ends it then; the client stops waiting half a second later.
    pub statement_timeout: Duration,
    /// How long a statement may take before it is logged as `slow_query`.
    pub slow_query: Duration,
    /// What stands between this program and the server.
    pub pooler: Pooler,
    /// Whether statements are prepared once a connection. `false` for a pooler that does not keep prepared statements.
    pub prepared_statements: bool,
}

/// What stands between the program and the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing that hands sessions on: each connection is a session of the server, which is told its time limits once.
    #[default]
    None,
    /// A pooler in transaction mode, which gives each transaction to any session. Nothing is kept in a session: no start-up
    /// options, no `SET`, no session locks. Each transaction brings its time limits along; what the read pool sends is
    /// bounded by the client and by the role's own settings.
    Transaction,
}

impl PostgresOptions {
    /// Ten connections in the pool, two for short reads, 2 s to wait for one, 5 s for a statement, slow from 200 ms on.
    #[must_use]
    pub fn new(target: ConnectionTarget) -> Self {
        Self {
            target,
            pool_size: 10,
            read_connections: 2,
            pool_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            slow_query: Duration::from_millis(200),
            pooler: Pooler::None,
            prepared_statements: true,
        }
    }
}
