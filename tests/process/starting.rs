//! Before the schema is known to be right.

use serde_json::json;

use super::{
    cluster,
    support::{Service, eventually},
};

/// The key of the lock that a run of migrations holds: `src/migrations.rs`.
const LOCK: i64 = 0x7761_7270_736b_656c;

#[tokio::test]
async fn while_another_replica_migrates_the_api_is_unavailable_and_the_rest_answers() {
    let url = cluster::empty_database().await;
    let other = cluster::connect(&url).await;
    other
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK])
        .await
        .unwrap();
    let service = Service::spawn(&url, &[], &["--migrate"]);
    let port = service.port();
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    cluster::until("the wait for the other's migration", async || {
        let row = other.query_one(waiting, &[]).await.unwrap();
        row.get::<_, i64>(0) > 0
    })
    .await;

    let account = json!({"email": "early@marked.example", "password": "marked-password-1"});
    for reply in [
        service.post("/auth/register", None, &account),
        service.post("/auth/token", None, &account),
        service.get("/auth/me"),
        service.get("/users"),
        service.get("/info"),
    ] {
        assert_eq!(reply.status, 503, "{}", reply.body);
        assert_eq!(reply.json()["code"], "unavailable");
        assert_eq!(reply.header("retry-after"), "1");
    }
    for path in ["/live", "/metrics", "/openapi.json", "/docs", "/redoc"] {
        assert_eq!(service.get(path).status, 200, "{path}");
    }
    assert_eq!(service.get("/ready").json(), json!({"status": "not_ready"}));
    assert_eq!(service.get("/nowhere").status, 404);

    other
        .execute("SELECT pg_advisory_unlock($1)", &[&LOCK])
        .await
        .unwrap();
    service.await_line("ready");
    assert_eq!(
        super::support::ask(port, "GET", "/ready", &[], "").status,
        200
    );
    assert_eq!(service.post("/auth/register", None, &account).status, 201);
}

#[tokio::test]
async fn one_that_is_told_to_stop_before_it_served_answers_nothing_of_the_api() {
    let url = cluster::empty_database().await;
    let other = cluster::connect(&url).await;
    other
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK])
        .await
        .unwrap();
    let mut service = Service::spawn(&url, &[("SHUTDOWN_DELAY_MS", "60000")], &["--migrate"]);
    let port = service.port();

    service.signal("TERM");
    service.await_line("stopping");

    let reply = eventually("an answer", || {
        super::support::try_ask(port, "GET", "/auth/me", &[], "")
    });
    assert_eq!(reply.status, 503, "{}", reply.body);
    service.signal("TERM");
    assert_eq!(service.ended().code(), Some(0));
}
