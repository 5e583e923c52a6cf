//! A client that leaves before its answer.

use std::sync::Arc;

use tokio::sync::Notify;
use uuid::Uuid;

use super::{slow_endpoint, value_of};
use crate::support::{TestApp, leaks, until};

#[tokio::test]
async fn a_client_that_leaves_is_counted_and_logged_as_499() {
    let begun = Arc::new(Notify::new());
    let app = TestApp::with_endpoints(&[], vec![slow_endpoint(&begun)]).await;
    let id = Uuid::new_v4().to_string();

    let call = app.get("/slow").header("x-correlation-id", &id);
    tokio::select! {
        answer = call.send() => panic!("it never answers: {answer:?}"),
        () = begun.notified() => {}
    }

    let metrics = app.app.operations.metrics().unwrap();
    let series = "request_count{method=\"GET\",path=\"/slow\",status_code=\"499\"}";
    assert_eq!(value_of(&metrics, series), Some(1.0));
    let lines = leaks::lines_of(&id);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["message"], "request_completed");
    assert_eq!(lines[0]["status_code"], 499);
    assert!(!metrics.contains("error_count{method=\"GET\",path=\"/slow\""));
}

#[tokio::test]
async fn a_request_is_in_flight_until_its_client_leaves() {
    let begun = Arc::new(Notify::new());
    let app = TestApp::with_endpoints(&[], vec![slow_endpoint(&begun)]).await;
    let in_flight = || {
        let metrics = app.app.operations.metrics().unwrap();
        value_of(&metrics, "requests_in_flight ").unwrap()
    };

    let mut call = Box::pin(app.get("/slow").send());
    let during = tokio::select! {
        answer = &mut call => panic!("it never answers: {answer:?}"),
        () = begun.notified() => in_flight(),
    };
    drop(call);

    assert!((during - 1.0).abs() < f64::EPSILON, "{during}");
    assert!(in_flight().abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_client_that_leaves_while_the_database_works_takes_no_connection_with_it() {
    let app = TestApp::with(&[("DB_POOL_SIZE", "1")]).await;
    let mut blocker = app.database().await;
    let lock = blocker.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let watcher = app.database().await;
    let waiting = async {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until("a wait for the lock", async || {
            let row = watcher.query_one(sql, &[]).await.unwrap();
            row.get::<_, i64>(0) > 0
        })
        .await;
    };
    let body = serde_json::json!({"email": "a@marked.example", "password": "marked-password"});

    tokio::select! {
        answer = app.post("/auth/register").json(&body).send() => panic!("it waits: {answer:?}"),
        () = waiting => {}
    }
    lock.rollback().await.unwrap();

    let answer = app.post("/auth/register").json(&body).send().await;
    assert!(
        matches!(answer.status.as_u16(), 201 | 409),
        "{}",
        answer.text()
    );
}
