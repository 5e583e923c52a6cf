//! `GET /metrics`

use crate::support::{SECRET, TestApp};

#[tokio::test]
async fn anyone_may_read_the_metrics_as_prometheus_text() {
    let app = TestApp::start().await;
    app.get("/live").send().await.assert_status(200);

    let answer = app.get("/metrics").send().await;

    answer.assert_status(200);
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = answer.text();
    assert!(text.contains("# TYPE request_count counter"), "{text}");
    assert!(text.ends_with('\n'));
}

#[tokio::test]
async fn the_metrics_tell_what_is_running_and_no_secret() {
    let app = TestApp::start().await;

    let text = app.get("/metrics").send().await.text();

    let build = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let line = text.lines().find(|line| line.starts_with("build_info{"));
    assert!(line.unwrap().contains(&build), "{line:?}");
    assert!(!text.contains(SECRET) && !text.contains(&app.url));
}

#[tokio::test]
async fn the_pool_is_measured_when_it_is_asked_about() {
    let app = TestApp::with(&[("DB_POOL_SIZE", "3")]).await;
    let connection = app.app.database.connection().await;

    let text = app.get("/metrics").send().await.text();

    assert!(connection.is_ok());
    for line in [
        "db_pool_connections{state=\"in_use\"} 1",
        "db_pool_connections{state=\"idle\"} 0",
        "db_pool_connections{state=\"max\"} 3",
        "db_pool_connections{state=\"waiting\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}

#[tokio::test]
async fn two_replicas_in_one_process_count_for_themselves() {
    let app = TestApp::start().await;
    let replica = app.replica();

    app.get("/live").send().await.assert_status(200);

    let count = "request_count{method=\"GET\",path=\"/live\",status_code=\"200\"} 1";
    assert!(app.get("/metrics").send().await.text().contains(count));
    assert!(
        !replica
            .get("/metrics")
            .send()
            .await
            .text()
            .contains("\"/live\"")
    );
}
