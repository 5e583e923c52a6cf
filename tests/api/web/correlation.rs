//! The name of a request: in the reply, in the problem, in every log line.

use http::Method;
use serde_json::json;
use uuid::Uuid;
use warp_skeleton::features::identity::Role;

use super::panicking_endpoint;
use crate::support::{TestApp, leaks};

#[tokio::test]
async fn a_harmless_name_is_kept() {
    let app = TestApp::start().await;

    for id in ["a", "Trace-1.2_3", &"x".repeat(64)] {
        let answer = app.get("/live").header("x-correlation-id", id).send().await;

        assert_eq!(answer.header("x-correlation-id"), id);
    }
}

#[tokio::test]
async fn any_other_name_is_replaced_by_a_new_one() {
    let app = TestApp::start().await;

    for id in [
        "",
        &"x".repeat(65),
        "two words",
        "a/b",
        "{\"a\":1}",
        "é",
        "a,b",
    ] {
        let answer = app.get("/live").header("x-correlation-id", id).send().await;

        answer.assert_status(200);
        Uuid::parse_str(answer.header("x-correlation-id")).unwrap();
    }
}

#[tokio::test]
async fn of_two_names_neither_is_kept() {
    let app = TestApp::start().await;

    let call = app.get("/live").header("x-correlation-id", "one");
    let answer = call.header("x-correlation-id", "two").send().await;

    Uuid::parse_str(answer.header("x-correlation-id")).unwrap();
}

#[tokio::test]
async fn without_a_name_each_request_gets_one_of_its_own() {
    let app = TestApp::start().await;

    let first = app.get("/live").send().await;
    let second = app.get("/live").send().await;

    let id = |answer: &crate::support::Answer| {
        Uuid::parse_str(answer.header("x-correlation-id")).unwrap()
    };
    assert_ne!(id(&first), id(&second));
}

#[tokio::test]
async fn every_kind_of_reply_carries_the_name() {
    let app = TestApp::with_endpoints(&[], vec![panicking_endpoint()]).await;

    for (method, path, status) in [
        (Method::GET, "/live", 200),
        (Method::OPTIONS, "/live", 204),
        (Method::HEAD, "/live", 200),
        (Method::GET, "/nothing", 404),
        (Method::PUT, "/live", 405),
        (Method::GET, "/auth/me", 401),
        (Method::POST, "/auth/token", 415),
        (Method::GET, "/panic?x=1", 422),
        (Method::GET, "/panic", 500),
    ] {
        let call = app.call(method, path);
        let answer = call.header("x-correlation-id", "kept-name").send().await;

        answer.assert_status(status);
        assert_eq!(answer.header("x-correlation-id"), "kept-name", "{path}");
        let is_problem = answer.header("content-type") == "application/problem+json";
        if is_problem && !answer.body.is_empty() {
            assert_eq!(answer.json()["correlation_id"], "kept-name");
        }
    }
}

#[tokio::test]
async fn every_log_line_of_a_request_carries_its_name_and_its_trace() {
    let app = TestApp::with(&[("SLOW_QUERY_MS", "0")]).await;
    let (user, _) = app.signed_in(Role::Member).await;
    let id = Uuid::new_v4().to_string();

    let body = json!({"email": user.email, "password": user.password});
    let call = app.post("/auth/token").json(&body);
    let answer = call.header("x-correlation-id", &id).send().await;

    answer.assert_status(200);
    let lines = leaks::lines_of(&id);
    assert!(
        lines.iter().any(|line| line["message"] == "slow_query"),
        "{lines:#?}"
    );
    for line in &lines {
        assert_eq!(line["correlation_id"], id.as_str(), "{line}");
        assert_eq!(line["trace_id"], lines[0]["trace_id"], "{line}");
        assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
        assert_eq!(line["span_id"].as_str().unwrap().len(), 16);
    }
}
