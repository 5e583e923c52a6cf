//! One throw-away PostgreSQL for the whole run, and a database of its own for each test.

use chassis_postgres::testing::TestDatabases;
use warp_skeleton::migrations::MIGRATIONS;

pub use chassis_postgres::testing::connect;

static DATABASES: TestDatabases = TestDatabases::new(
    concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres"),
    "warp_skeleton",
    &MIGRATIONS,
);

/// The URL of a new database with the whole schema.
pub async fn new_database() -> String {
    DATABASES.new_database().await
}

/// The URL of a new, empty database.
pub async fn empty_database() -> String {
    DATABASES.empty_database().await
}
