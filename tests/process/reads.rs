//! One client's slow read is nobody else's: not of who is calling, and not of a probe.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio_postgres::Client;

use super::{
    cluster,
    support::{Service, eventually},
};

/// An account with this role, and an access token of it.
async fn sign_in(service: &Service, database: &Client, name: &str, role: &str) -> String {
    let email = format!("{name}@marked.example");
    let credentials = json!({"email": email, "password": "marked-password-1"});
    let registered = service.post("/auth/register", None, &credentials);
    assert_eq!(registered.status, 201, "{}", registered.body);
    let sql = "UPDATE users SET role = $2 WHERE email = $1";
    database.execute(sql, &[&email, &role]).await.unwrap();
    let tokens = service.post("/auth/token", None, &credentials).json();
    tokens["access_token"].as_str().unwrap().to_owned()
}

/// Ends what runs beside the test, also when the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether a statement of the service waits for this just now.
async fn waits_for(database: &Client, event: &str) -> bool {
    let sql = "
SELECT count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND wait_event = $1";
    let row = database.query_one(sql, &[&event]).await.unwrap();
    row.get::<_, i64>(0) > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_list_is_slow_everybody_else_is_served() {
    let url = cluster::new_database().await;
    let database = cluster::connect(&url).await;
    let service = Service::start(
        &cluster::as_service(&url),
        &[("DB_STATEMENT_TIMEOUT_MS", "20000")],
    );
    let admin = sign_in(&service, &database, "admin", "ADMIN").await;
    let member = sign_in(&service, &database, "member", "MEMBER").await;
    // Seconds for each row of an owner, nothing for those of others.
    let slow = "
INSERT INTO users (id, email, password_hash, role, is_active, created_at, updated_at)
SELECT gen_random_uuid(), 'owner' || number || '@marked.example', 'none', 'OWNER', true, now(), now()
FROM generate_series(1, 3) AS number;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY slow ON users USING (CASE WHEN role = 'OWNER' THEN pg_sleep(4) IS NOT NULL ELSE true END);";
    database.batch_execute(slow).await.unwrap();

    thread::scope(|scope| {
        let list = scope.spawn(|| service.get_as(&admin, "/users?role=OWNER").status);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            eventually("the list", || {
                runtime
                    .block_on(waits_for(&database, "PgSleep"))
                    .then_some(())
            });
        });

        for _ in 0..50 {
            assert_eq!(service.me(&member).status, 200);
        }
        assert_eq!(service.get("/ready").status, 200);
        assert_eq!(service.get("/health").status, 200);

        assert!(!list.is_finished(), "they waited for the list");
        assert_eq!(list.join().unwrap(), 200);
    });
}

#[tokio::test]
async fn a_lock_on_the_migrations_and_those_who_ask_for_them_delay_nobody() {
    let url = cluster::new_database().await;
    let service = Service::start(&url, &[("DB_STATEMENT_TIMEOUT_MS", "20000")]);
    let mut database = cluster::connect(&url).await;
    let member = sign_in(&service, &database, "member", "MEMBER").await;
    let lock = database.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE refinery_schema_history IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let stop = AtomicBool::new(false);

    let elapsed = thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(service.get("/health").status, 503);
                }
            });
        }
        let started = Instant::now();
        for _ in 0..50 {
            assert_eq!(service.me(&member).status, 200);
            assert_eq!(service.get("/ready").status, 200);
        }
        started.elapsed()
    });

    lock.rollback().await.unwrap();
    assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
    eventually("health", || {
        (service.get("/health").status == 200).then_some(())
    });
}
