//! The shared read connections.

use std::time::Duration;

use chassis_postgres::{DatabaseError, PostgresOptions, ReadExecutor, ReadQuery, testing};

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
async fn a_write_hidden_in_a_function_is_refused_by_the_session() {
    static HIDDEN: ReadQuery = ReadQuery::new("hidden", "SELECT remember('a')", &[]);
    let url = DATABASES.new_database().await;
    let operator = testing::connect(&url).await;
    let function = "CREATE FUNCTION remember(text) RETURNS void LANGUAGE sql
                    AS 'INSERT INTO items (name) VALUES ($1)'";
    operator.batch_execute(function).await.unwrap();
    let database = open(&options(&url));

    let refused = database.read_pool().rows(&HIDDEN, &[]).await;

    assert!(refused.unwrap_err().is_outage());
    let kept = "SELECT count(*) FROM items";
    assert_eq!(crate::support::count(&operator, kept).await, 0);
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
        prepared_statements: false,
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
