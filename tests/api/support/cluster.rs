//! One throw-away PostgreSQL for the whole run, and a database of its own for each test.

use std::time::Duration;

use chassis_postgres::testing::TestDatabases;
use warp_skeleton::{grants, migrations::MIGRATIONS};

pub use chassis_postgres::testing::connect;

/// The role that the service has in a cluster of ours. The one of the tests themselves is a superuser.
pub const SERVICE: &str = "warp_skeleton";

/// The role that owns the databases and tables of a cluster of ours.
pub const OWNER: &str = "warp_skeleton_owner";

static DATABASES: TestDatabases = TestDatabases::new(
    concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres"),
    "warp_skeleton",
    &MIGRATIONS,
)
.with_roles(OWNER, SERVICE, grants::TABLES);

/// The URL of a new database with the whole schema.
pub async fn new_database() -> String {
    DATABASES.new_database().await
}

/// The URL of a new, empty database.
pub async fn empty_database() -> String {
    DATABASES.empty_database().await
}

/// Waits until the condition holds.
///
/// # Panics
///
/// When it does not within half a minute, or is not answered: a test that goes wrong ends.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    let held = tokio::time::timeout(Duration::from_secs(30), held).await;
    assert!(held.is_ok(), "never happened: {what}");
}

/// The same database, as the role that the service has. A prepared server has one role for everything.
pub fn as_service(url: &str) -> String {
    DATABASES.as_service(url)
}
