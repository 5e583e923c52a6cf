//! The shared read connections.

use std::time::Duration;

use chassis_postgres::{DatabaseError, Pooler, PostgresOptions, ReadExecutor, testing};

use crate::support::{DATABASES, SLEEP, open, options, process};

#[tokio::test]
async fn a_read_reconnects_when_its_connection_was_ended() {
    let url = DATABASES.new_database().await;
    let database = open(&options(&url));
    let before = process(database.read_pool()).await;

    let operator = testing::connect(&url).await;
    let end = "SELECT pg_terminate_backend($1, 5000)";
    operator.execute(end, &[&before]).await.unwrap();

    assert_ne!(process(database.read_pool()).await, before);
}

#[tokio::test]
async fn the_server_ends_a_statement_that_takes_too_long_and_the_connection_stays() {
    let url = DATABASES.new_database().await;
    let database = open(&PostgresOptions {
        statement_timeout: Duration::from_millis(100),
        ..options(&url)
    });
    let before = process(database.read_pool()).await;

    let slow = database.read_pool().rows(&SLEEP, &[&30_f64]).await;

    assert!(matches!(
        slow,
        Err(DatabaseError::Timeout { query: "sleep" })
    ));
    assert_eq!(process(database.read_pool()).await, before);
}

#[tokio::test]
async fn a_connection_whose_answer_does_not_come_is_replaced() {
    let url = DATABASES.new_database().await;
    // Without session settings only the client gives up.
    let database = open(&PostgresOptions {
        statement_timeout: Duration::from_millis(100),
        pooler: Pooler::Transaction,
        ..options(&url)
    });
    let before = process(database.read_pool()).await;

    let slow = database.read_pool().rows(&SLEEP, &[&30_f64]).await;

    assert!(matches!(
        slow,
        Err(DatabaseError::Timeout { query: "sleep" })
    ));
    assert_ne!(process(database.read_pool()).await, before);
}
