//! What a request leaves in the log, and what it never does.

use http::Method;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use warp_skeleton::features::identity::Role;

use super::panicking_endpoint;
use crate::support::{Answer, TestApp, leaks};

fn lines_of(answer: &Answer) -> Vec<Value> {
    leaks::lines_of(answer.header("x-correlation-id"))
}

fn with_message<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    let found = lines.iter().filter(|line| line["message"] == message);
    found.collect()
}

#[tokio::test]
async fn every_request_leaves_exactly_one_line_that_says_how_it_ended() {
    let app = TestApp::with_endpoints(&[], vec![panicking_endpoint()]).await;
    app.app.lifecycle.drain();

    for (method, path, template, status) in [
        (Method::GET, "/live", "/live", 200),
        (Method::HEAD, "/live", "/live", 200),
        (
            Method::OPTIONS,
            "/auth/sessions/1",
            "/auth/sessions/{id}",
            204,
        ),
        (Method::GET, "/nothing/here", "unmatched", 404),
        (Method::PUT, "/auth/sessions/1", "/auth/sessions/{id}", 405),
        (Method::GET, "/auth/me", "/auth/me", 401),
        (Method::POST, "/auth/register", "/auth/register", 415),
        (Method::GET, "/panic?a=b", "/panic", 422),
        (Method::GET, "/panic", "/panic", 500),
        (Method::GET, "/ready", "/ready", 503),
    ] {
        let answer = app.call(method.clone(), path).send().await;

        let lines = lines_of(&answer);
        let completed = with_message(&lines, "request_completed");
        assert_eq!(completed.len(), 1, "{lines:#?}");
        assert_eq!(completed[0]["method"], method.as_str());
        assert_eq!(completed[0]["path"], template);
        assert_eq!(completed[0]["status_code"], status);
        assert_eq!(answer.status.as_u16(), status);
    }
}

#[tokio::test]
async fn the_line_has_the_fields_that_operators_search_by() {
    let app = TestApp::start().await;

    let answer = app.get("/auth/me").send().await;

    let lines = lines_of(&answer);
    let line = with_message(&lines, "request_completed")[0];
    OffsetDateTime::parse(line["timestamp"].as_str().unwrap(), &Rfc3339).unwrap();
    assert_eq!(line["level"], "INFO");
    assert!(line["target"].is_string());
    assert_eq!(line["service"], "warp-skeleton");
    assert_eq!(line["correlation_id"], answer.header("x-correlation-id"));
    assert!(line["trace_id"].is_string() && line["span_id"].is_string());
    assert!(line["duration_ms"].as_f64().unwrap() >= 0.0);
}

#[tokio::test]
async fn a_probe_that_succeeds_is_logged_at_debug_and_one_that_fails_at_info() {
    let app = TestApp::start().await;
    let level = async |path: &str| {
        let answer = app.get(path).send().await;
        let lines = lines_of(&answer);
        let line = with_message(&lines, "request_completed")[0];
        line["level"].as_str().unwrap().to_owned()
    };

    for path in ["/live", "/ready", "/health", "/metrics"] {
        assert_eq!(level(path).await, "DEBUG", "{path}");
    }
    app.app.lifecycle.drain();
    assert_eq!(level("/ready").await, "INFO");
    assert_eq!(level("/openapi.json").await, "INFO");
}

#[tokio::test]
async fn a_failed_sign_in_is_traced_to_its_reason_account_and_network() {
    let app = TestApp::start().await;
    let (known, _) = app.signed_in(Role::Member).await;
    let disabled = app.user().disabled().create().await;
    let try_with = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        let request = app
            .post("/auth/token")
            .json(&body)
            .header("user-agent", "curl/8.14.1")
            .from("2001:db8:1:2:3::4");
        let answer = request.send().await;
        answer.assert_status(401);
        lines_of(&answer)
    };

    for (email, password, reason, user) in [
        (
            "nobody@marked.example",
            "marked-password-x",
            "unknown_address",
            None,
        ),
        (
            &known.email,
            "marked-password-x",
            "wrong_password",
            Some(&known.id),
        ),
        (
            &disabled.email,
            &disabled.password,
            "account_disabled",
            Some(&disabled.id),
        ),
    ] {
        let lines = try_with(email, password).await;

        let event = with_message(&lines, "auth_event")[0];
        assert_eq!(event["reason"], reason);
        assert_eq!(
            event["user_id"].as_str(),
            user.map(ToString::to_string).as_deref()
        );
        let completed = with_message(&lines, "request_completed")[0];
        assert_eq!(completed["code"], "invalid_credentials");
        for line in [event, completed] {
            assert_eq!(line["client_network"], "2001:db8:1:2::/64");
            // printf curl/8.14.1 | sha256sum
            assert_eq!(line["user_agent_hash"], "65839b743e58c647");
        }
    }
}

#[tokio::test]
async fn neither_the_raw_path_nor_the_query_reaches_the_log() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Admin).await;

    for path in [
        "/unmatched-raw/path?raw-query=1",
        "/auth/sessions/raw-path?raw-query=1",
        "/auth/sessions?raw-query=1",
        "/live?raw-query=1",
    ] {
        let answer = app.get(path).bearer(&token).send().await;

        let text = format!("{:?}", lines_of(&answer));
        assert!(!text.contains("raw-"), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_failure_of_ours_is_logged_once_with_its_causes_and_the_client_is_told_nothing() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let cut_off = app.replica_with(&[("DATABASE_URL", "postgres://postgres@127.0.0.1:1/none")]);

    let answer = cut_off.me(&token).await;

    answer.assert_problem(503, "unavailable");
    let lines = lines_of(&answer);
    let failed = with_message(&lines, "request_failed");
    assert_eq!(failed.len(), 1, "{lines:#?}");
    assert_eq!(failed[0]["level"], "ERROR");
    assert_eq!(failed[0]["code"], "unavailable");
    assert_eq!(failed[0]["path"], "/auth/me");
    let causes = failed[0]["error"].as_str().unwrap();
    assert!(
        causes.starts_with("the database cannot be reached: ") && causes.contains("refused"),
        "{causes}"
    );
    assert!(!answer.text().contains("refused"), "{}", answer.text());
}

#[tokio::test]
async fn a_request_that_the_client_got_wrong_is_no_failure_of_ours() {
    let app = TestApp::start().await;

    for path in ["/nothing", "/auth/me", "/live?x=1"] {
        let answer = app.get(path).send().await;

        let lines = lines_of(&answer);
        assert!(
            with_message(&lines, "request_failed").is_empty(),
            "{lines:#?}"
        );
    }
}

#[tokio::test]
async fn a_header_that_tries_to_write_log_lines_of_its_own_does_not() {
    let app = TestApp::start().await;

    let call = app
        .get("/openapi.json")
        .header("user-agent", "x\",\"level\":\"FATAL");
    let call = call.header("traceparent", "00-not-a-trace");
    let answer = call.send().await;

    let lines = lines_of(&answer);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["level"], "INFO");
}
