// The page is read where documentation is made, so that an edit to it compiles nothing.
#![cfg_attr(any(doc, doctest), doc = include_str!("../README.md"))]
#![cfg_attr(not(any(doc, doctest)), doc = "README.md says what this is for.")]

mod connection;
mod connection_string;
mod database;
mod error;
mod executor;
mod grants;
mod limits;
mod metrics;
mod migrations;
mod options;
mod query;
mod read_pool;
mod reader;
#[cfg(feature = "settings")]
mod settings;
mod sqlstate;
mod target;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod transaction;

pub use tokio_postgres::{Row, types::Type};

#[cfg(feature = "settings")]
pub use self::settings::{DB_NAME, DB_USER, DatabaseSettings};
pub use self::{
    connection::Connection,
    database::{ConnectError, Database, connect},
    error::{ConstraintKind, DatabaseError, Message},
    executor::{ReadExecutor, WriteExecutor},
    grants::{Excess, Grants, Privilege, TableGrant},
    metrics::DatabaseMetrics,
    migrations::{Applied, Comparison, MigrationError, Migrations, Status, Step},
    options::{Pooler, PostgresOptions},
    query::{Operation, Parameters, ReadQuery, WriteQuery},
    read_pool::ReadPool,
    reader::PooledReader,
    target::{ConnectionDefaults, ConnectionTarget, InvalidTarget, TlsMode, UnknownTlsMode},
    tls::TlsError,
    transaction::Transaction,
};
