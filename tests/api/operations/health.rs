//! `GET /health`

use serde_json::json;

use super::CLOSED;
use crate::support::{TestApp, cluster};

fn known_migrations() -> usize {
    warp_skeleton::migrations::MIGRATIONS.steps().unwrap().len()
}

#[tokio::test]
async fn a_healthy_service_tells_version_latency_and_migrations() {
    let app = TestApp::start().await;

    let answer = app.get("/health").send().await;

    answer.assert_status(200);
    let mut health = answer.json();
    let latency = health["checks"]["database"]["latency_ms"].take();
    assert!(latency.as_f64().unwrap() > 0.0, "{latency}");
    assert_eq!(
        health,
        json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "checks": {
                "database": {"status": "ok", "latency_ms": null},
                "migrations": {"status": "ok", "applied": known_migrations(), "pending": 0},
            },
        })
    );
}

#[tokio::test]
async fn without_its_database_it_says_so_in_the_same_shape() {
    let app = TestApp::start().await;
    let cut_off = app.replica_with(&[("DATABASE_URL", CLOSED)]);

    let answer = cut_off.get("/health").send().await;

    answer.assert_status(503);
    assert_eq!(
        answer.json(),
        json!({
            "status": "unavailable",
            "version": env!("CARGO_PKG_VERSION"),
            "checks": {
                "database": {"status": "unavailable", "latency_ms": null},
                "migrations": {"status": "unknown", "applied": null, "pending": null},
            },
        })
    );
    assert!(!answer.text().contains("127.0.0.1"));
}

#[tokio::test]
async fn an_empty_database_is_well_but_its_migrations_are_pending() {
    let app = TestApp::start().await;
    let empty = cluster::empty_database().await;
    let early = app.replica_with(&[("DATABASE_URL", &empty)]);

    let answer = early.get("/health").send().await;

    answer.assert_status(503);
    let health = answer.json();
    assert_eq!(health["checks"]["database"]["status"], "ok");
    assert_eq!(
        health["checks"]["migrations"],
        json!({"status": "pending", "applied": 0, "pending": known_migrations()})
    );
}

#[tokio::test]
async fn a_migration_that_changed_after_it_was_applied_is_divergent() {
    let app = TestApp::start().await;
    let database = app.database().await;
    database
        .execute(
            "UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1",
            &[],
        )
        .await
        .unwrap();

    let answer = app.get("/health").send().await;

    answer.assert_status(503);
    assert_eq!(answer.json()["checks"]["migrations"]["status"], "divergent");
}

#[tokio::test]
async fn a_migration_newer_than_the_service_is_well() {
    let app = TestApp::start().await;
    let database = app.database().await;
    database
        .execute(
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
             VALUES (9999, 'from_the_future', '2030-01-01T00:00:00Z', '1')",
            &[],
        )
        .await
        .unwrap();

    let answer = app.get("/health").send().await;

    answer.assert_status(200);
    assert_eq!(
        answer.json()["checks"]["migrations"]["applied"],
        known_migrations() + 1
    );
}
