//! What becomes of a connection when a transaction or a statement ends in each way.

use std::time::Duration;

use chassis_postgres::{
    Database, DatabaseError, Pooler, PostgresOptions, ReadExecutor, ReadQuery, WriteExecutor,
    testing,
};
use futures_util::FutureExt;

use tokio_postgres::types::ToSql;

use crate::support::{DATABASES, INSERT, SLEEP, count, open, options, process};

const ITEMS: &str = "SELECT count(*) FROM items";

async fn database() -> (String, Database) {
    let url = DATABASES.new_database().await;
    let database = open(&options(&url));
    (url, database)
}

/// The process of the pool's only connection, once it is free again.
async fn pooled(database: &Database) -> i32 {
    process(&database.connection().await.unwrap()).await
}

#[tokio::test]
async fn what_is_committed_lasts_and_the_connection_is_used_again() {
    let (url, database) = database().await;
    let before = pooled(&database).await;

    let transaction = database.begin().await.unwrap();
    assert_eq!(transaction.execute(&INSERT, &[&"a"]).await.unwrap(), 1);
    transaction.commit().await.unwrap();

    assert_eq!(count(&testing::connect(&url).await, ITEMS).await, 1);
    assert_eq!(pooled(&database).await, before);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_rolled_back_and_its_connection_used_again() {
    let (url, database) = database().await;
    let before = pooled(&database).await;

    let transaction = database.begin().await.unwrap();
    transaction.execute(&INSERT, &[&"a"]).await.unwrap();
    drop(transaction);

    assert_eq!(pooled(&database).await, before);
    assert_eq!(count(&testing::connect(&url).await, ITEMS).await, 0);
}

#[tokio::test]
async fn a_transaction_with_a_failed_statement_is_not_committed() {
    let (url, database) = database().await;
    let transaction = database.begin().await.unwrap();
    transaction.execute(&INSERT, &[&"a"]).await.unwrap();
    let again = transaction.execute(&INSERT, &[&"a"]).await;
    assert!(again.unwrap_err().violates("items_pkey"));

    let refused = transaction.commit().await.unwrap_err();

    assert_eq!(refused.sqlstate(), Some("25P02"));
    pooled(&database).await;
    assert_eq!(count(&testing::connect(&url).await, ITEMS).await, 0);
}

#[tokio::test]
async fn a_part_that_fails_takes_nothing_else_along() {
    let (url, database) = database().await;
    let transaction = database.begin().await.unwrap();
    transaction.execute(&INSERT, &[&"a"]).await.unwrap();

    let part = async {
        transaction.execute(&INSERT, &[&"b"]).await?;
        transaction.execute(&INSERT, &[&"a"]).await
    };
    let failed = transaction.attempt(part).await.unwrap();
    assert!(failed.unwrap_err().violates("items_pkey"));
    let part = transaction.execute(&INSERT, &[&"c"]);
    assert_eq!(transaction.attempt(part).await.unwrap().unwrap(), 1);
    transaction.commit().await.unwrap();

    let kept = "SELECT count(*) FROM items WHERE name IN ('a', 'c')";
    let client = testing::connect(&url).await;
    assert_eq!(count(&client, kept).await, 2);
    assert_eq!(count(&client, ITEMS).await, 2);

    let transaction = database.begin().await.unwrap();
    let failed = transaction.execute(&INSERT, &[&"a"]).await;
    assert!(failed.is_err());
    let part = async { Ok::<_, DatabaseError>(()) };
    let refused = transaction.attempt(part).await.unwrap_err();
    assert_eq!(refused.sqlstate(), Some("25P02"));
    assert!(transaction.commit().await.is_err());
}

/// A statement that was sent, and whose future is dropped before the answer.
async fn abandon(db: &impl ReadExecutor) {
    abandon_one_of(db, 0.3).await;
}

/// The same with a statement that takes this many seconds.
async fn abandon_one_of(db: &impl ReadExecutor, seconds: f64) {
    let parameters: [&(dyn ToSql + Sync); 1] = [&seconds];
    let mut slow = std::pin::pin!(db.rows(&SLEEP, &parameters));
    // Until it is on its way: preparing it takes a round trip.
    let sent = tokio::time::timeout(Duration::from_millis(100), &mut slow).await;
    assert!(sent.is_err());
}

#[tokio::test]
async fn a_connection_with_an_answer_outstanding_is_closed() {
    let (_, database) = database().await;
    let connection = database.connection().await.unwrap();
    let before = process(&connection).await;

    abandon(&connection).await;
    drop(connection);

    assert_ne!(pooled(&database).await, before);
}

#[tokio::test]
async fn a_transaction_with_an_abandoned_statement_is_not_committed() {
    let (url, database) = database().await;
    let transaction = database.begin().await.unwrap();
    let before = process(&transaction).await;
    transaction.execute(&INSERT, &[&"a"]).await.unwrap();
    abandon(&transaction).await;

    transaction.commit().await.unwrap_err();

    assert_ne!(pooled(&database).await, before);
    assert_eq!(count(&testing::connect(&url).await, ITEMS).await, 0);
}

#[tokio::test]
async fn a_commit_that_is_dropped_half_way_closes_the_connection() {
    let (_, database) = database().await;
    let transaction = database.begin().await.unwrap();
    let before = process(&transaction).await;
    transaction.execute(&INSERT, &[&"a"]).await.unwrap();

    // Polled once: COMMIT is sent, and its answer is not awaited.
    assert!(transaction.commit().now_or_never().is_none());

    assert_ne!(pooled(&database).await, before);
}

#[tokio::test]
async fn a_begin_that_is_dropped_half_way_closes_the_connection() {
    let (_, database) = database().await;
    let connection = database.connection().await.unwrap();
    let before = process(&connection).await;

    assert!(connection.begin().now_or_never().is_none());

    assert_ne!(pooled(&database).await, before);
}

#[tokio::test]
async fn a_statement_that_nobody_waits_for_any_more_ends_on_the_server_too() {
    let url = DATABASES.new_database().await;
    let database = open(&PostgresOptions {
        statement_timeout: Duration::from_mins(1),
        ..options(&url)
    });
    let connection = database.connection().await.unwrap();
    let pid = process(&connection).await;

    abandon_one_of(&connection, 30.0).await;
    drop(connection);

    let operator = testing::connect(&url).await;
    let running = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    let gone = async {
        while count(&operator, &running).await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // It would sleep for half a minute.
    let ended = tokio::time::timeout(Duration::from_secs(25), gone).await;
    assert!(ended.is_ok(), "the statement runs on");
}

/// Goes on when it is cancelled, so only the client gives up.
const STUBBORN: &str = "CREATE FUNCTION stubborn() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_sleep(30);
    EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(30);
END $$";

#[tokio::test]
async fn a_statement_that_gets_no_answer_in_time_discards_its_connection() {
    static ASK: ReadQuery = ReadQuery::new("stubborn", "SELECT stubborn()", &[]);
    let url = DATABASES.new_database().await;
    let operator = testing::connect(&url).await;
    operator.batch_execute(STUBBORN).await.unwrap();
    let database = open(&PostgresOptions {
        statement_timeout: Duration::from_millis(100),
        ..options(&url)
    });
    let connection = database.connection().await.unwrap();
    let before = process(&connection).await;

    let slow = connection.rows(&ASK, &[]).await;

    assert!(matches!(
        slow,
        Err(DatabaseError::Timeout { query: "stubborn" })
    ));
    drop(connection);
    assert_ne!(pooled(&database).await, before);
}

#[tokio::test]
async fn behind_a_pooler_each_statement_of_the_pool_brings_its_time_limit() {
    let url = DATABASES.new_database().await;
    let database = open(&PostgresOptions {
        statement_timeout: Duration::from_millis(100),
        pooler: Pooler::Transaction,
        ..options(&url)
    });
    let connection = database.connection().await.unwrap();
    let before = process(&connection).await;

    let alone = connection.rows(&SLEEP, &[&30_f64]).await;
    drop(connection);
    let transaction = database.begin().await.unwrap();
    let within = transaction.rows(&SLEEP, &[&30_f64]).await;
    drop(transaction);

    for slow in [alone, within] {
        assert!(
            matches!(slow, Err(DatabaseError::Timeout { .. })),
            "{slow:?}"
        );
    }
    // The server ended them, so the connection was used again, and nothing of the limit is left in its session.
    assert_eq!(pooled(&database).await, before);
    let connection = database.connection().await.unwrap();
    assert_eq!(connection.execute(&INSERT, &[&"a"]).await.unwrap(), 1);
    let again = connection.execute(&INSERT, &[&"a"]).await.unwrap_err();
    assert!(again.violates("items_pkey"), "{again:?}");
    drop(connection);
    assert_eq!(pooled(&database).await, before);
}

#[tokio::test]
async fn a_transaction_dropped_outside_of_a_runtime_closes_its_connection() {
    static LOCKS: ReadQuery = ReadQuery::new(
        "open_transactions",
        "SELECT count(*) AS total FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = current_database()",
        &[],
    );
    let (_, database) = database().await;
    let transaction = database.begin().await.unwrap();
    transaction.execute(&INSERT, &[&"a"]).await.unwrap();

    std::thread::spawn(move || drop(transaction))
        .join()
        .unwrap();

    pooled(&database).await;
    loop {
        let rows = database.read_pool().rows(&LOCKS, &[]).await.unwrap();
        if rows[0].get::<_, i64>("total") == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_part_that_is_given_up_ends_the_transaction() {
    let (url, database) = database().await;
    let transaction = database.begin().await.unwrap();
    let part = async {
        transaction.execute(&INSERT, &[&"a"]).await?;
        std::future::pending::<Result<(), DatabaseError>>().await
    };

    let given_up = tokio::time::timeout(Duration::from_millis(300), transaction.attempt(part));
    assert!(given_up.await.is_err());

    let refused = transaction.commit().await.unwrap_err();
    assert_eq!(refused.sqlstate(), Some("25P02"));
    pooled(&database).await;
    assert_eq!(count(&testing::connect(&url).await, ITEMS).await, 0);
}

#[tokio::test]
async fn a_part_does_not_make_up_for_what_failed_before() {
    let (_, database) = database().await;
    let transaction = database.begin().await.unwrap();
    // The driver refuses it, and PostgreSQL hears nothing of it.
    assert!(transaction.execute(&INSERT, &[&1]).await.is_err());

    let part = async { Err::<(), _>(DatabaseError::PoolExhausted) };

    assert!(transaction.attempt(part).await.is_err());
    assert!(transaction.commit().await.is_err());
}
