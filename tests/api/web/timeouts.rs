//! A handler that takes too long.

use std::sync::Arc;

use http::header;
use tokio::sync::Notify;

use super::slow_endpoint;
use crate::support::{TestApp, leaks};

#[tokio::test]
async fn an_answer_that_takes_too_long_is_a_503_that_says_when_to_try_again() {
    let begun = Arc::new(Notify::new());
    let settings = [("REQUEST_TIMEOUT_MS", "50")];
    let app = TestApp::with_endpoints(&settings, vec![slow_endpoint(&begun)]).await;

    let answer = app.get("/slow").send().await;

    answer.assert_problem(503, "request_timeout");
    assert_eq!(answer.header(header::RETRY_AFTER), "1");
    begun.notified().await;
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_logged_once() {
    let settings = [("REQUEST_TIMEOUT_MS", "50")];
    let app = TestApp::with_endpoints(&settings, vec![slow_endpoint(&Arc::default())]).await;

    let answer = app.get("/slow").send().await;

    let lines = leaks::lines_of(answer.header("x-correlation-id"));
    let messages: Vec<_> = lines.iter().map(|line| &line["message"]).collect();
    assert_eq!(messages, ["request_failed", "request_completed"]);
    assert_eq!(lines[0]["code"], "request_timeout");
    assert_eq!(lines[0]["level"], "ERROR");
    assert_eq!(lines[1]["status_code"], 503);
}

#[tokio::test]
async fn the_service_goes_on_after_a_timeout() {
    let settings = [("REQUEST_TIMEOUT_MS", "50")];
    let app = TestApp::with_endpoints(&settings, vec![slow_endpoint(&Arc::default())]).await;

    app.get("/slow").send().await.assert_status(503);

    app.get("/live").send().await.assert_status(200);
    let metrics = app.app.operations.metrics().unwrap();
    assert_eq!(super::value_of(&metrics, "requests_in_flight "), Some(0.0));
}
