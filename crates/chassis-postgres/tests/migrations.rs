//! Migrations up, down, together, and against a history that does not fit.

use std::time::Duration;

use chassis_postgres::{Grants, MigrationError, testing::connect};

use crate::support::{DATABASES, MIGRATIONS, count, open, options};

const ALL: [&str; 2] = ["V0001__create_items", "V0002__add_size"];
const TABLES: &str = "SELECT count(*) FROM pg_tables WHERE tablename = 'items'";

#[tokio::test]
async fn up_applies_and_down_undoes_newest_first() {
    let url = DATABASES.empty_database().await;
    let mut client = connect(&url).await;

    assert_eq!(
        MIGRATIONS.up(&mut client, &Grants::none()).await.unwrap(),
        ALL
    );
    assert_eq!(
        MIGRATIONS.up(&mut client, &Grants::none()).await.unwrap(),
        [""; 0]
    );
    assert_eq!(MIGRATIONS.down(&mut client, 1).await.unwrap(), [ALL[1]]);
    assert_eq!(MIGRATIONS.status(&client).await.unwrap().pending, [ALL[1]]);
    assert_eq!(count(&client, TABLES).await, 1);
    assert_eq!(MIGRATIONS.down(&mut client, 9).await.unwrap(), [ALL[0]]);
    assert_eq!(count(&client, TABLES).await, 0);
}

#[tokio::test]
async fn runs_at_once_apply_each_step_once() {
    let url = DATABASES.empty_database().await;
    let runs = (0..4).map(|_| async {
        let mut client = connect(&url).await;
        MIGRATIONS
            .up(&mut client, &Grants::none())
            .await
            .unwrap()
            .len()
    });

    let applied = futures_util::future::join_all(runs).await;

    assert_eq!(applied.iter().sum::<usize>(), ALL.len());
}

#[tokio::test]
async fn a_run_releases_its_lock_after_a_failure() {
    let url = DATABASES.empty_database().await;
    let mut client = connect(&url).await;
    let in_the_way = "CREATE TABLE items (name text)";
    client.batch_execute(in_the_way).await.unwrap();

    let failed = MIGRATIONS
        .up(&mut client, &Grants::none())
        .await
        .unwrap_err();

    assert!(failed.to_string().contains("42P07"), "{failed}");
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database =
                 (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(count(&client, locks).await, 0);
}

#[tokio::test]
async fn a_run_that_fails_names_the_step_and_those_that_stay() {
    let url = DATABASES.empty_database().await;
    let mut client = connect(&url).await;
    // The first step succeeds, and the second finds its column there.
    let in_the_way = "
CREATE FUNCTION add_size() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    IF tg_tag = 'CREATE TABLE' AND to_regclass('items') IS NOT NULL THEN
        ALTER TABLE items ADD COLUMN size integer;
    END IF;
END $$;
CREATE EVENT TRIGGER add_size ON ddl_command_end EXECUTE FUNCTION add_size()";
    client.batch_execute(in_the_way).await.unwrap();

    let failed = MIGRATIONS.up(&mut client, &Grants::none()).await;

    let text = failed.unwrap_err().to_string();
    assert!(
        text.starts_with("migration V0002__add_size failed: "),
        "{text}"
    );
    assert!(text.contains("42701"), "{text}");
    assert!(
        text.ends_with("; done before that, and kept: V0001__create_items"),
        "{text}"
    );
    assert_eq!(MIGRATIONS.status(&client).await.unwrap().pending, [ALL[1]]);

    let clear = "DROP EVENT TRIGGER add_size; ALTER TABLE items DROP COLUMN size";
    client.batch_execute(clear).await.unwrap();
    MIGRATIONS.up(&mut client, &Grants::none()).await.unwrap();
    client
        .batch_execute("CREATE VIEW of_items AS SELECT name FROM items")
        .await
        .unwrap();

    let failed = MIGRATIONS.down(&mut client, 2).await.unwrap_err();

    let text = failed.to_string();
    assert!(
        text.starts_with("migration V0001__create_items failed: "),
        "{text}"
    );
    assert!(
        text.ends_with("; done before that, and kept: V0002__add_size"),
        "{text}"
    );
}

#[tokio::test]
async fn an_applied_step_that_changed_is_refused() {
    let url = DATABASES.new_database().await;
    let mut client = connect(&url).await;
    let tamper = "UPDATE refinery_schema_history SET checksum = '1' WHERE version = 2";
    client.batch_execute(tamper).await.unwrap();

    let refused = MIGRATIONS
        .up(&mut client, &Grants::none())
        .await
        .unwrap_err();

    assert!(matches!(refused, MigrationError::Diverged(name) if name == ALL[1]));
    let database = open(&options(&url));
    let compared = MIGRATIONS.compare_with(database.read_pool()).await.unwrap();
    assert!(!compared.agrees && !compared.is_current());
}

#[tokio::test]
async fn an_empty_database_has_everything_pending() {
    let database = open(&options(&DATABASES.empty_database().await));

    let compared = MIGRATIONS.compare_with(database.read_pool()).await.unwrap();

    assert_eq!((compared.applied, compared.pending), (0, ALL.len()));
}

/// A backup, say, reads the table for long. Whoever comes after a step that waits for it must not wait for long, too.
#[tokio::test]
async fn a_step_gives_way_while_its_table_is_in_use_and_is_tried_again() {
    let url = DATABASES.empty_database().await;
    let mut client = connect(&url).await;
    MIGRATIONS.up(&mut client, &Grants::none()).await.unwrap();
    MIGRATIONS.down(&mut client, 1).await.unwrap();
    let mut backup = connect(&url).await;
    let reading = backup.transaction().await.unwrap();
    reading.batch_execute("SELECT FROM items").await.unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let other = connect(&url).await;

    let grants = Grants::none();
    let step = MIGRATIONS.up(&mut client, &grants);
    let watch = async {
        while count(&other, waiting).await == 0 {
            tokio::task::yield_now().await;
        }
        while count(&other, waiting).await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let read = other.batch_execute("SET lock_timeout = '1s'; SELECT FROM items");
        read.await.unwrap();
        reading.commit().await.unwrap();
    };
    let (applied, ()) = tokio::join!(step, watch);

    assert_eq!(applied.unwrap(), [ALL[1]]);
}
