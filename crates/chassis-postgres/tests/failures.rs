//! What PostgreSQL refuses, each kind made to happen, and what becomes of the connection.

use std::time::Duration;

use chassis_postgres::{
    Database, DatabaseError, PostgresOptions, ReadExecutor, ReadQuery, Type, WriteExecutor,
    WriteQuery, testing,
};

use crate::support::{DATABASES, INSERT, count, open, options, process};

static RENAME: WriteQuery = WriteQuery::update(
    "items_rename",
    "UPDATE items SET name = name || '!' WHERE name = $1",
    &[Type::TEXT],
);
static LIST: ReadQuery = ReadQuery::new("items_list", "SELECT * FROM items ORDER BY name", &[]);

/// A database with two items, and handles on it that have a connection each.
async fn two_handles() -> (String, [Database; 2]) {
    let url = DATABASES.new_database().await;
    let both = [open(&options(&url)), open(&options(&url))];
    let connection = both[0].connection().await.unwrap();
    for name in ["a", "b"] {
        connection.execute(&INSERT, &[&name]).await.unwrap();
    }
    (url, both)
}

#[tokio::test]
async fn of_two_transactions_in_a_deadlock_one_is_told_of_a_conflict_and_its_connection_stays() {
    let (_, [one, two]) = two_handles().await;
    let (first, second) = (one.begin().await.unwrap(), two.begin().await.unwrap());
    let before = (process(&first).await, process(&second).await);
    first.execute(&RENAME, &[&"a"]).await.unwrap();
    second.execute(&RENAME, &[&"b"]).await.unwrap();

    let outcomes = tokio::join!(
        first.execute(&RENAME, &[&"b"]),
        second.execute(&RENAME, &[&"a"])
    );

    let lost = match outcomes {
        (Err(lost), Ok(1)) | (Ok(1), Err(lost)) => lost,
        other => panic!("{other:?}"),
    };
    assert!(matches!(lost, DatabaseError::Conflict { .. }), "{lost:?}");
    assert_eq!((lost.kind(), lost.sqlstate()), ("conflict", Some("40P01")));
    assert!(lost.is_transient() && !lost.is_outage());
    first.rollback().await.unwrap();
    second.rollback().await.unwrap();
    let [one, two] = [one.connection().await, two.connection().await].map(Result::unwrap);
    assert_eq!((process(&one).await, process(&two).await), before);
}

#[tokio::test]
async fn a_single_statement_that_lost_a_conflict_is_repeated() {
    let (url, [database, _]) = two_handles().await;
    // The first time the trigger fires the statement is refused, and with it what the trigger wrote; the sequence remembers.
    let trigger = "CREATE SEQUENCE attempts;
        CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('attempts') = 1 THEN RAISE EXCEPTION 'try again' USING ERRCODE = '40001'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse_once BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION refuse_once()";
    let operator = testing::connect(&url).await;
    operator.batch_execute(trigger).await.unwrap();
    let connection = database.connection().await.unwrap();

    assert_eq!(connection.execute(&RENAME, &[&"a"]).await.unwrap(), 1);

    let renamed = "SELECT count(*) FROM items WHERE name = 'a!'";
    assert_eq!(count(&operator, renamed).await, 1);
    assert_eq!(count(&operator, "SELECT last_value FROM attempts").await, 2);
}

#[tokio::test]
async fn a_serialization_failure_in_a_transaction_is_a_conflict() {
    let (url, [other, _]) = two_handles().await;
    let isolated = format!("{url}?options=-c%20default_transaction_isolation%3Dserializable");
    let database = open(&options(&isolated));
    let transaction = database.begin().await.unwrap();
    transaction.rows(&LIST, &[]).await.unwrap();
    let other = other.connection().await.unwrap();
    other.execute(&RENAME, &[&"a"]).await.unwrap();

    let lost = transaction.execute(&RENAME, &[&"a"]).await.unwrap_err();

    assert_eq!((lost.kind(), lost.sqlstate()), ("conflict", Some("40001")));
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_left_as_soon_as_that_is_noticed() {
    let url = DATABASES.new_database().await;
    let operator = testing::connect(&url).await;
    let read_only = |state: &str| {
        format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {state}', current_database()); END $$"
        )
    };
    operator.batch_execute(&read_only("on")).await.unwrap();
    let database = open(&options(&url));
    let reading = process(database.read_pool()).await;

    let connection = database.connection().await.unwrap();
    let refused = connection.execute(&INSERT, &[&"a"]).await.unwrap_err();
    drop(connection);
    let writable = "BEGIN READ WRITE;".to_owned() + &read_only("off") + ";COMMIT";
    operator.batch_execute(&writable).await.unwrap();
    let connection = database.connection().await.unwrap();
    let accepted = connection.execute(&INSERT, &[&"a"]).await;

    assert!(
        matches!(refused, DatabaseError::ReadOnly { .. }),
        "{refused:?}"
    );
    assert!(refused.is_outage());
    assert_eq!(accepted.unwrap(), 1);
    assert_ne!(process(database.read_pool()).await, reading);
}

#[tokio::test]
async fn idle_connections_to_a_server_that_takes_no_writes_are_left_with_the_one_that_noticed() {
    let url = DATABASES.new_database().await;
    let database = open(&PostgresOptions {
        pool_size: 3,
        ..options(&url)
    });
    let operator = testing::connect(&url).await;
    // Sessions that are open already: as after a failover behind an address that stays.
    let mut before = Vec::new();
    {
        let held = [
            database.connection().await.unwrap(),
            database.connection().await.unwrap(),
            database.connection().await.unwrap(),
        ];
        for connection in &held {
            static DEMOTE: WriteQuery = WriteQuery::update(
                "demote",
                "UPDATE pg_settings SET setting = 'on' WHERE name = 'default_transaction_read_only'",
                &[],
            );
            connection.returning(&DEMOTE, &[]).await.unwrap();
            before.push(process(connection).await);
        }
    }

    let first = database.connection().await.unwrap();
    let noticed = first.execute(&INSERT, &[&"a"]).await.unwrap_err();
    drop(first);

    assert_eq!(noticed.kind(), "read_only");
    for name in ["a", "b", "c"] {
        let connection = database.connection().await.unwrap();
        assert_eq!(connection.execute(&INSERT, &[&name]).await.unwrap(), 1);
        assert!(!before.contains(&process(&connection).await));
    }
    assert_eq!(count(&operator, "SELECT count(*) FROM items").await, 3);
}

#[tokio::test]
async fn a_session_that_an_operator_ended_is_an_outage_and_its_connection_is_gone() {
    let (url, [database, _]) = two_handles().await;
    let transaction = database.begin().await.unwrap();
    let before = process(&transaction).await;
    let operator = testing::connect(&url).await;
    let end = "SELECT pg_terminate_backend($1, 5000)";
    operator.execute(end, &[&before]).await.unwrap();

    let cut = transaction.execute(&RENAME, &[&"a"]).await.unwrap_err();
    drop(transaction);

    assert!(matches!(cut, DatabaseError::Unreachable(_)), "{cut:?}");
    let connection = database.connection().await.unwrap();
    assert_ne!(process(&connection).await, before);
}

#[tokio::test]
async fn a_lock_that_is_not_to_be_had_is_a_statement_that_took_too_long() {
    static NOWAIT: WriteQuery = WriteQuery::select_for_update(
        "items_lock",
        "SELECT name FROM items FOR UPDATE NOWAIT",
        &[],
    );
    let (url, [database, _]) = two_handles().await;
    let operator = testing::connect(&url).await;
    operator
        .batch_execute("BEGIN; LOCK TABLE items")
        .await
        .unwrap();
    let connection = database.connection().await.unwrap();
    let refused = connection.returning(&NOWAIT, &[]).await.unwrap_err();

    assert!(
        matches!(refused, DatabaseError::Timeout { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_not_taken_for_one_that_is_gone() {
    let (url, _) = two_handles().await;
    let operator = testing::connect(&url).await;
    let full = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 0', current_database()); END $$";
    let crowded = format!("{full}; CREATE ROLE crowded {}", testing::login_of(&url));
    operator.batch_execute(&crowded).await.unwrap();
    let database = open(&options(&testing::address_as(&url, "crowded")));

    let crowded = database.connection().await.err().unwrap();
    let reading = database.read_pool().rows(&LIST, &[]).await.unwrap_err();
    operator.batch_execute("DROP ROLE crowded").await.unwrap();

    for error in [crowded, reading] {
        assert!(
            matches!(error, DatabaseError::OutOfResources(_)),
            "{error:?}"
        );
        assert!(error.is_outage());
    }
}

#[tokio::test]
async fn a_read_whose_result_a_migration_changed_is_prepared_again_and_repeated() {
    let (url, [database, _]) = two_handles().await;
    database.read_pool().rows(&LIST, &[]).await.unwrap();
    let connection = database.connection().await.unwrap();
    connection.rows(&LIST, &[]).await.unwrap();
    let reading = process(database.read_pool()).await;

    let operator = testing::connect(&url).await;
    let migration = "ALTER TABLE items ADD COLUMN colour text";
    operator.batch_execute(migration).await.unwrap();

    for rows in [
        database.read_pool().rows(&LIST, &[]).await,
        connection.rows(&LIST, &[]).await,
    ] {
        assert_eq!(rows.unwrap()[0].len(), 3);
    }
    assert_eq!(process(database.read_pool()).await, reading);
}

#[tokio::test]
async fn in_a_transaction_such_a_statement_is_transient_and_the_next_transaction_works() {
    let (url, [database, _]) = two_handles().await;
    let transaction = database.begin().await.unwrap();
    transaction.rows(&LIST, &[]).await.unwrap();
    transaction.commit().await.unwrap();
    let operator = testing::connect(&url).await;
    let migration = "ALTER TABLE items ADD COLUMN colour text";
    operator.batch_execute(migration).await.unwrap();

    let transaction = database.begin().await.unwrap();
    let refused = transaction.rows(&LIST, &[]).await.unwrap_err();
    drop(transaction);

    assert_eq!(refused.kind(), "outdated_statement");
    assert!(refused.is_transient() && !refused.is_outage());
    let transaction = database.begin().await.unwrap();
    assert_eq!(transaction.rows(&LIST, &[]).await.unwrap()[0].len(), 3);
}

#[tokio::test]
async fn a_statement_that_the_server_forgot_is_prepared_again_and_repeated() {
    static FORGET: ReadQuery = ReadQuery::new("forget", "SELECT forget()", &[]);
    let (url, [database, _]) = two_handles().await;
    let operator = testing::connect(&url).await;
    let function = "CREATE FUNCTION forget() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$";
    operator.batch_execute(function).await.unwrap();
    let connection = database.connection().await.unwrap();
    connection.execute(&RENAME, &[&"a"]).await.unwrap();
    database.read_pool().rows(&LIST, &[]).await.unwrap();

    database.read_pool().rows(&FORGET, &[]).await.unwrap();
    connection.rows(&FORGET, &[]).await.unwrap();

    let read = database.read_pool().rows(&LIST, &[]).await;
    assert_eq!(read.unwrap().len(), 2);
    let written = connection.execute(&RENAME, &[&"b"]).await;
    assert_eq!(written.unwrap(), 1);
}

#[tokio::test]
async fn a_write_through_the_read_pool_is_a_mistake_of_the_program() {
    static HIDDEN: ReadQuery = ReadQuery::new("hidden", "SELECT remember('c')", &[]);
    let (url, [database, _]) = two_handles().await;
    let unprepared = open(&PostgresOptions {
        prepared_statements: false,
        statement_timeout: Duration::from_secs(5),
        ..options(&url)
    });
    let operator = testing::connect(&url).await;
    let function = "CREATE FUNCTION remember(text) RETURNS void LANGUAGE sql
                    AS 'INSERT INTO items (name) VALUES ($1)'";
    operator.batch_execute(function).await.unwrap();

    for database in [database, unprepared] {
        let refused = database.read_pool().rows(&HIDDEN, &[]).await.unwrap_err();

        assert_eq!(refused.sqlstate(), Some("25006"), "{refused:?}");
        assert!(!refused.is_transient());
    }
    assert_eq!(count(&operator, "SELECT count(*) FROM items").await, 2);
}

#[tokio::test]
async fn a_value_that_the_server_repeats_is_in_no_error() {
    static CAST: ReadQuery = ReadQuery::new("cast", "SELECT $1::text::uuid", &[Type::TEXT]);
    let url = DATABASES.new_database().await;
    let database = open(&options(&url));

    let failed = database.reader().rows(&CAST, &[&"marked-secret"]).await;

    let failed = failed.unwrap_err();
    assert_eq!(failed.sqlstate(), Some("22P02"));
    assert!(
        !format!("{failed} {failed:?}").contains("marked-secret"),
        "{failed:?}"
    );
}

/// Something else listens there, or TLS is asked of a server that has none: no statement is at fault.
#[tokio::test]
async fn whatever_goes_wrong_while_connecting_is_an_outage() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // The answer of a server without TLS, to whoever asks for it.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"N").await;
        }
    });
    let url = format!("postgres://nobody@127.0.0.1:{port}/none?sslmode=require");
    let database = open(&options(&url));

    let failed = database.reader().rows(&LIST, &[]).await;

    let failed = failed.unwrap_err();
    assert!(failed.is_outage() && failed.is_transient(), "{failed:?}");
}
