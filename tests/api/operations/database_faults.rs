//! A full pool, a slow statement, a connection that dies, a database that goes and comes back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::header;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use warp_skeleton::features::identity::Role;

use super::mute_database;
use crate::support::{Answer, TestApp, leaks};

async fn register(app: &TestApp) -> Answer {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let email = format!("fault{number}@marked.example");
    let body = json!({"email": email, "password": "marked-password"});
    app.post("/auth/register").json(&body).send().await
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    answer.assert_problem(503, "unavailable");
    assert_eq!(answer.header(header::RETRY_AFTER), "1");
}

#[tokio::test]
async fn when_every_connection_is_busy_a_request_waits_only_so_long() {
    let app = TestApp::with(&[("DB_POOL_SIZE", "2"), ("DB_POOL_TIMEOUT_MS", "200")]).await;
    let held = [
        app.app.database.connection().await.unwrap(),
        app.app.database.connection().await.unwrap(),
    ];

    let started = Instant::now();
    let answer = register(&app).await;

    assert_unavailable(&answer);
    let elapsed = started.elapsed();
    assert!((200..2000).contains(&elapsed.as_millis()), "{elapsed:?}");
    let lines = leaks::lines_of(answer.header("x-correlation-id"));
    assert!(format!("{lines:?}").contains("no database connection became free in time"));
    drop(held);
    register(&app).await.assert_status(201);
    assert_eq!(app.count("SELECT count(*) FROM users").await, 1);
}

#[tokio::test]
async fn when_every_connection_is_busy_reads_go_on() {
    let app = TestApp::with(&[("DB_POOL_SIZE", "1"), ("DB_POOL_TIMEOUT_MS", "200")]).await;
    let (_, token) = app.signed_in(Role::Member).await;
    let _held = app.app.database.connection().await.unwrap();

    app.me(&token).await.assert_status(200);
    app.get("/ready").send().await.assert_status(200);
}

#[tokio::test]
async fn a_request_that_waits_is_served_as_soon_as_a_connection_is_free() {
    let app = TestApp::with(&[("DB_POOL_SIZE", "1"), ("DB_POOL_TIMEOUT_MS", "20000")]).await;
    let held = app.app.database.connection().await.unwrap();

    let waiting = async || {
        let metrics = app.app.operations.metrics().unwrap();
        metrics.contains("db_pool_connections{state=\"waiting\"} 1")
    };
    let (answer, ()) = tokio::join!(register(&app), async {
        while !waiting().await {
            tokio::task::yield_now().await;
        }
        drop(held);
    });

    answer.assert_status(201);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_a_503() {
    let app = TestApp::with(&[("DB_STATEMENT_TIMEOUT_MS", "200")]).await;
    let (_, token) = app.signed_in(Role::Member).await;
    let mut blocker = app.database().await;
    let lock = blocker.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();

    for answer in [register(&app).await, app.me(&token).await] {
        assert_unavailable(&answer);
        let lines = leaks::lines_of(answer.header("x-correlation-id"));
        let failed = lines
            .iter()
            .find(|line| line["message"] == "request_failed");
        let error = failed.unwrap()["error"].as_str().unwrap().to_owned();
        assert!(error.contains("took too long"), "{error}");
    }
    lock.rollback().await.unwrap();

    register(&app).await.assert_status(201);
    app.me(&token).await.assert_status(200);
}

#[tokio::test]
async fn a_deadlock_is_called_a_conflict_and_may_be_tried_again() {
    let app = TestApp::start().await;
    let operator = app.database().await;
    // As if another transaction had won, in the middle of the one that registers.
    let trigger = "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01';
        END $$;
        CREATE TRIGGER lose BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION lose()";
    operator.batch_execute(trigger).await.unwrap();

    let answer = register(&app).await;

    assert_unavailable(&answer);
    let lines = leaks::lines_of(answer.header("x-correlation-id"));
    let failed = lines
        .iter()
        .find(|line| line["message"] == "request_failed");
    let error = failed.unwrap()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("lost a conflict"), "{error}");
    assert!(!error.contains("cannot be reached"), "{error}");
    let mended = "DROP TRIGGER lose ON users";
    operator.batch_execute(mended).await.unwrap();
    register(&app).await.assert_status(201);
}

#[tokio::test]
async fn a_database_that_became_read_only_is_used_again_when_it_takes_writes() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let operator = app.database().await;
    let demote = |state: &str| {
        format!(
            "BEGIN READ WRITE; DO $$ BEGIN EXECUTE format(
                'ALTER DATABASE %I SET default_transaction_read_only = {state}', current_database()); END $$; COMMIT"
        )
    };
    operator.batch_execute(&demote("on")).await.unwrap();
    let replica = app.replica_with(&[("DB_POOL_SIZE", "2")]);

    let refused = register(&replica).await;
    replica.me(&token).await.assert_status(200);
    operator.batch_execute(&demote("off")).await.unwrap();
    let accepted = register(&replica).await;

    assert_unavailable(&refused);
    let lines = leaks::lines_of(refused.header("x-correlation-id"));
    assert!(format!("{lines:?}").contains("the database is read-only"));
    accepted.assert_status(201);
}

#[tokio::test]
async fn connections_that_were_terminated_are_replaced() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;
    app.me(&token).await.assert_status(200);
    let operator = app.database().await;

    for _ in 0..5 {
        let ended: i64 = operator
            .query_one(
                "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
                &[],
            )
            .await
            .unwrap()
            .get(0);
        assert!(ended > 0);

        app.me(&token).await.assert_status(200);
        let sessions = app.get("/auth/sessions").bearer(&token).send().await;
        sessions.assert_status(200);
        register(&app).await.assert_status(201);
    }
}

#[tokio::test]
async fn a_database_that_says_nothing_is_a_503_before_the_request_times_out() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let (_listener, url) = mute_database().await;
    let cut_off = app.replica_with(&[("DATABASE_URL", &url), ("DB_POOL_TIMEOUT_MS", "200")]);

    let started = Instant::now();
    let read = cut_off.me(&token).await;
    let write = register(&cut_off).await;

    assert_unavailable(&read);
    assert_unavailable(&write);
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_database_that_comes_back_is_used_again_without_a_restart() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let (url, gate) = gate_to(&app.url).await;
    let replica = app.replica_with(&[("DATABASE_URL", &url)]);
    replica.me(&token).await.assert_status(200);
    register(&replica).await.assert_status(201);

    gate.send_replace(false);
    gate.closed_all().await;

    assert_unavailable(&replica.me(&token).await);
    assert_unavailable(&register(&replica).await);
    replica.get("/ready").send().await.assert_status(503);
    replica.get("/live").send().await.assert_status(200);

    gate.send_replace(true);

    replica.get("/ready").send().await.assert_status(200);
    replica.me(&token).await.assert_status(200);
    register(&replica).await.assert_status(201);
}

/// A way to the database that can be shut: connections through it end, and new ones end at once.
struct Gate {
    open: watch::Sender<bool>,
    passing: Arc<AtomicU64>,
}

impl Gate {
    fn send_replace(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Resolves when nothing passes any more.
    async fn closed_all(&self) {
        while self.passing.load(Ordering::Acquire) > 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn gate_to(url: &str) -> (String, Gate) {
    let (head, database) = url.rsplit_once('/').unwrap();
    let (user, address) = head.rsplit_once('@').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = listener.local_addr().unwrap();
    let (open, is_open) = watch::channel(true);
    let passing = Arc::new(AtomicU64::new(0));
    let (target, counter) = (address.to_owned(), Arc::clone(&passing));
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            if !*is_open.borrow() {
                continue;
            }
            let (target, mut is_open) = (target.clone(), is_open.clone());
            let counter = Arc::clone(&counter);
            counter.fetch_add(1, Ordering::AcqRel);
            tokio::spawn(async move {
                let mut far = TcpStream::connect(target).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = is_open.wait_for(|open| !open) => {}
                }
                drop((near, far));
                counter.fetch_sub(1, Ordering::AcqRel);
            });
        }
    });
    (format!("{user}@{ours}/{database}"), Gate { open, passing })
}
