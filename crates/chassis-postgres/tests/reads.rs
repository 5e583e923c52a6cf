//! The shared read connections.

use std::time::Duration;

use chassis_postgres::{DatabaseError, Pooler, PostgresOptions, ReadExecutor, ReadQuery, testing};

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
async fn a_reader_takes_another_connection_when_its_own_was_ended() {
    let url = DATABASES.new_database().await;
    let database = open(&options(&url));
    let before = process(&database.reader()).await;
    assert_ne!(process(database.read_pool()).await, before);

    let operator = testing::connect(&url).await;
    let end = "SELECT pg_terminate_backend($1, 5000)";
    operator.execute(end, &[&before]).await.unwrap();

    assert_ne!(process(&database.reader()).await, before);
}

#[tokio::test]
async fn a_probe_that_meets_a_lock_gives_up_soon_and_delays_no_read() {
    static COUNT: ReadQuery = ReadQuery::new("count", "SELECT count(*) FROM items", &[]);
    let url = DATABASES.new_database().await;
    let database = open(&options(&url));
    let before = process(database.probe()).await;
    let holder = testing::connect(&url).await;
    let lock = "BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE";
    holder.batch_execute(lock).await.unwrap();

    let probed = database.probe().rows(&COUNT, &[]).await;

    assert!(matches!(
        probed,
        Err(DatabaseError::Timeout { query: "count" })
    ));
    assert_eq!(process(database.probe()).await, before);
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
