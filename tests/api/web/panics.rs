//! A handler that panics.

use super::{panicking_endpoint, value_of};
use crate::support::{TestApp, leaks};

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing() {
    let app = TestApp::with_endpoints(&[], vec![panicking_endpoint()]).await;

    let answer = app.get("/panic").send().await;

    answer.assert_problem(500, "internal_error");
    assert!(!answer.text().contains("on purpose"), "{}", answer.text());
}

#[tokio::test]
async fn a_panic_is_logged_with_the_name_of_its_request() {
    let app = TestApp::with_endpoints(&[], vec![panicking_endpoint()]).await;

    let answer = app.get("/panic").send().await;

    let lines = leaks::lines_of(answer.header("x-correlation-id"));
    let with = |message: &str| {
        let found: Vec<_> = lines
            .iter()
            .filter(|line| line["message"] == message)
            .collect();
        assert_eq!(found.len(), 1, "{message}: {lines:#?}");
        found[0]
    };
    let panicked = with("panicked");
    assert_eq!(panicked["level"], "ERROR");
    assert_eq!(panicked["panic"], "this handler panics on purpose");
    assert!(
        panicked["location"]
            .as_str()
            .unwrap()
            .contains("web/mod.rs")
    );
    assert_eq!(panicked["path"], "/panic");
    let completed = with("request_completed");
    assert_eq!(completed["status_code"], 500);
    assert_eq!(completed["trace_id"], panicked["trace_id"]);
}

#[tokio::test]
async fn the_service_goes_on_after_a_panic() {
    let app = TestApp::with_endpoints(&[], vec![panicking_endpoint()]).await;

    for _ in 0..3 {
        app.get("/panic").send().await.assert_status(500);
    }

    app.get("/health").send().await.assert_status(200);
    let metrics = app.app.operations.metrics().unwrap();
    let count = "{method=\"GET\",path=\"/panic\",status_code=\"500\"}";
    for family in ["request_count", "error_count"] {
        assert_eq!(value_of(&metrics, &format!("{family}{count}")), Some(3.0));
    }
    assert_eq!(value_of(&metrics, "requests_in_flight "), Some(0.0));
}
