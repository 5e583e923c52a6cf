#![doc = include_str!("../README.md")]

mod database;
mod error;
mod metrics;
mod migrations;
mod options;
mod pool;
mod read_pool;
#[cfg(feature = "settings")]
mod settings;
mod statement;
mod target;
mod tls;

#[cfg(feature = "settings")]
pub use self::settings::{DB_NAME, DB_USER, DatabaseSettings};
pub use self::{
    database::{ConnectError, Database, connect},
    error::{ConstraintKind, DatabaseError, Message},
    metrics::DatabaseMetrics,
    migrations::{Applied, Comparison, MigrationError, Migrations, Status, Step},
    options::PostgresOptions,
    pool::{Connection, Transaction},
    read_pool::ReadPool,
    statement::{Executor, Parameters, Query},
    target::{ConnectionDefaults, ConnectionTarget, InvalidUrl, TlsMode, UnknownTlsMode},
    tls::TlsError,
};
