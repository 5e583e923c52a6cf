//! The migration that gives credentials a table of their own, with accounts there already and beside
//! a replica of the release before, which writes `users.password_hash` and nothing else.

use tokio_postgres::Client;

use super::{
    cluster,
    support::{printed, run},
};

const ADD: &str = "
INSERT INTO users (id, email, password_hash, role, is_active, created_at, updated_at)
VALUES ($1::text::uuid, $1 || '@marked.example', $2, 'VIEWER', true, '2026-01-01Z', '2026-01-02Z')";

const ADA: &str = "00000000-0000-7000-8000-00000000000a";
const BOB: &str = "00000000-0000-7000-8000-00000000000b";

/// A database as the release before left it, with an account in it.
async fn older() -> (String, Client) {
    let url = cluster::empty_database().await;
    printed(&run(&url, &[], &["migrate", "up"], ""));
    undo(&url);
    let database = cluster::connect(&url).await;
    database.execute(ADD, &[&ADA, &"old"]).await.unwrap();
    (url, database)
}

/// Undoes this migration, and those that came later.
fn undo(url: &str) {
    let mut undone = String::new();
    while !undone.contains("V0004__create_credentials") {
        undone = printed(&run(url, &[], &["migrate", "down"], ""));
    }
}

/// The account's credential: secret and time.
async fn credential(database: &Client, user: &str) -> Option<String> {
    let sql = "
SELECT secret || ' ' || to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS credential
FROM credentials
WHERE user_id = $1::text::uuid AND kind = 'password'";
    let row = database.query_opt(sql, &[&user]).await.unwrap();
    row.map(|row| row.get("credential"))
}

async fn execute(database: &Client, sql: &str) {
    database.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn accounts_that_are_there_get_their_credential() {
    let (url, database) = older().await;

    printed(&run(&url, &[], &["migrate", "up"], ""));

    let found = credential(&database, ADA).await;
    assert_eq!(found.as_deref(), Some("old 2026-01-02"));
}

#[tokio::test]
async fn what_an_older_replica_writes_keeps_the_credential_current() {
    let (url, database) = older().await;
    printed(&run(&url, &[], &["migrate", "up"], ""));

    database.execute(ADD, &[&BOB, &"first"]).await.unwrap();
    let registered = credential(&database, BOB).await;
    let change = "UPDATE users SET password_hash = 'second', updated_at = '2026-02-01Z'";
    execute(&database, change).await;
    let changed = credential(&database, BOB).await;
    // Nothing that concerns the password.
    let demote = "UPDATE users SET role = 'MEMBER', updated_at = '2026-03-01Z'";
    execute(&database, demote).await;
    let same = "UPDATE users SET password_hash = password_hash, updated_at = '2026-03-02Z'";
    execute(&database, same).await;
    let untouched = credential(&database, BOB).await;

    assert_eq!(registered.as_deref(), Some("first 2026-01-02"));
    assert_eq!(changed.as_deref(), Some("second 2026-02-01"));
    assert_eq!(untouched, changed);
    let other = credential(&database, ADA).await;
    assert_eq!(other.as_deref(), Some("second 2026-02-01"));
}

#[tokio::test]
async fn a_hash_written_by_hand_moves_the_time_and_an_account_takes_its_credential_along() {
    let (url, database) = older().await;
    printed(&run(&url, &[], &["migrate", "up"], ""));

    execute(&database, "UPDATE users SET password_hash = 'by hand'").await;
    let by_hand = credential(&database, ADA).await.unwrap();
    execute(&database, "DELETE FROM users").await;

    assert!(by_hand.starts_with("by hand "), "{by_hand}");
    assert_ne!(by_hand, "by hand 2026-01-02");
    assert_eq!(credential(&database, ADA).await, None);
}

#[tokio::test]
async fn undone_and_applied_again_it_misses_nothing() {
    let (url, database) = older().await;
    printed(&run(&url, &[], &["migrate", "up"], ""));
    undo(&url);
    let change = "UPDATE users SET password_hash = 'between', updated_at = '2026-04-01Z'";
    execute(&database, change).await;
    database.execute(ADD, &[&BOB, &"new"]).await.unwrap();

    printed(&run(&url, &[], &["migrate", "up"], ""));

    let found = credential(&database, ADA).await;
    assert_eq!(found.as_deref(), Some("between 2026-04-01"));
    let found = credential(&database, BOB).await;
    assert_eq!(found.as_deref(), Some("new 2026-01-02"));
}
