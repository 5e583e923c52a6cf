//! A database with the tests' own schema.

use std::time::Duration;

use chassis_postgres::{
    ConnectionDefaults, ConnectionTarget, Database, DatabaseMetrics, Migrations, PostgresOptions,
    ReadExecutor, ReadQuery, Type, WriteQuery, testing::TestDatabases,
};
use include_dir::{Dir, include_dir};
use tokio_postgres::Client;

static FOLDER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/tests/migrations");
pub(crate) static MIGRATIONS: Migrations = Migrations::new(&FOLDER, 7);
pub(crate) static DATABASES: TestDatabases = TestDatabases::new(
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/postgres"),
    "chassis",
    &MIGRATIONS,
);

pub(crate) static INSERT: WriteQuery = WriteQuery::insert(
    "items_insert",
    "INSERT INTO items (name) VALUES ($1)",
    &[Type::TEXT],
);
pub(crate) static SLEEP: ReadQuery =
    ReadQuery::new("sleep", "SELECT pg_sleep($1)", &[Type::FLOAT8]);
static PROCESS: ReadQuery = ReadQuery::new("process", "SELECT pg_backend_pid() AS pid", &[]);

pub(crate) fn options(url: &str) -> PostgresOptions {
    let target = ConnectionTarget::from_url(url, ConnectionDefaults::default()).unwrap();
    PostgresOptions {
        pool_size: 1,
        read_connections: 1,
        pool_timeout: Duration::from_secs(20),
        ..PostgresOptions::new(target)
    }
}

pub(crate) fn open(options: &PostgresOptions) -> Database {
    let metrics = DatabaseMetrics::new(&prometheus::Registry::new());
    Database::new(options, metrics).unwrap()
}

/// The server process behind a connection.
pub(crate) async fn process(db: &impl ReadExecutor) -> i32 {
    let rows = db.rows(&PROCESS, &[]).await.unwrap();
    rows[0].get("pid")
}

pub(crate) async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}
