#![doc = include_str!("../README.md")]

mod connection;
mod database;
mod error;
mod executor;
mod limits;
mod metrics;
mod migrations;
mod options;
mod query;
mod read_pool;
mod target;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod transaction;

pub use tokio_postgres::{Row, types::Type};

pub use self::{
    connection::Connection,
    database::{ConnectError, Database, connect},
    error::{ConstraintKind, DatabaseError, Message},
    executor::{ReadExecutor, WriteExecutor},
    metrics::DatabaseMetrics,
    migrations::{Applied, Comparison, MigrationError, Migrations, Status, Step},
    options::PostgresOptions,
    query::{Operation, Parameters, ReadQuery, WriteQuery},
    read_pool::ReadPool,
    target::{ConnectionDefaults, ConnectionTarget, InvalidUrl, TlsMode, UnknownTlsMode},
    tls::TlsError,
    transaction::Transaction,
};
