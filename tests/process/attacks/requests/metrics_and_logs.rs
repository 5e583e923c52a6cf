//! Requests that write into what is recorded about them: headers, log lines, metrics, a terminal.

use serde_json::{Value, json};

use super::{Case, HURRIED, Replica, Replicas, raw_verdict, verdict};
use crate::support::eventually;

/// Whether a text is a UUID as we write them.
fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text)
}

#[tokio::test]
async fn h01_a_correlation_id_writes_neither_headers_nor_log_lines() {
    let case = Case::begin();
    let replicas = Replicas::with(&[HURRIED]).await;
    let one = &replicas.one;

    for id in [
        "a b",
        "%0d%0aSet-Cookie:%20a=b",
        "{\"level\":\"fatal\"}",
        "a\",\"level\":\"fatal",
        "\u{e9}",
        "a/../b",
        &"x".repeat(65),
        &"x".repeat(8192),
        "",
    ] {
        let reply = one.ask("GET", "/live", &[("X-Correlation-ID", id)], "");
        case.expect(id, "200", verdict(&reply));
        case.expect(id, true, is_uuid(reply.header("x-correlation-id")));
    }
    let two = [("X-Correlation-ID", "one"), ("X-Correlation-ID", "two")];
    let reply = one.ask("GET", "/live", &two, "");
    case.expect(
        "two of them",
        true,
        is_uuid(reply.header("x-correlation-id")),
    );
    // A real line break begins another header, and a NUL is no header at all.
    let injected = one.say("GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Correlation-ID: kept\r\nInjected: 1\r\n\r\n");
    case.expect(
        "a line break",
        true,
        injected.contains("x-correlation-id: kept\r\n"),
    );
    case.expect(
        "a line break",
        false,
        injected.to_lowercase().contains("injected"),
    );
    let nul = one.say("GET /live HTTP/1.1\r\nHost: a\r\nX-Correlation-ID: a\0b\r\n\r\n");
    case.expect("NUL", "400", raw_verdict(&nul));

    let reply = one.ask(
        "GET",
        "/openapi.json",
        &[("X-Correlation-ID", "The-control_1.0")],
        "",
    );
    case.expect(
        "the control",
        "the-control_1.0",
        reply.header("x-correlation-id"),
    );
    eventually("its log line", || {
        let lines = one.service.lines();
        lines
            .iter()
            .any(|line| line["correlation_id"] == "The-control_1.0")
            .then_some(())
    });
    let fatal = one
        .service
        .lines()
        .iter()
        .any(|line| line["level"] == "fatal");
    case.expect("log lines of the client's own", false, fatal);
}

/// How many series count requests.
fn series(replica: &Replica) -> usize {
    let metrics = replica.ask("GET", "/metrics", &[], "").body;
    let lines = metrics.lines();
    let counts_requests = |line: &&str| line.starts_with("request_") || line.starts_with("error_");
    lines.filter(counts_requests).count()
}

#[tokio::test]
async fn h10_a_client_makes_no_metrics() {
    let case = Case::begin();
    let replicas = Replicas::with(&[HURRIED]).await;
    let one = &replicas.one;
    // One request of each kind first, so that its series are there.
    for method in ["GET", "POST", "ZZZZ"] {
        one.ask(method, "/nowhere", &[], "");
    }
    one.ask("ZZZZ", "/live", &[], "");
    series(one);
    let before = series(one);

    let methods = ["GET", "POST", "AAAA", "BBBB", "get", "X-1", "M\u{7e}"];
    let mut requests = String::new();
    for (number, method) in (0..1_000_u32).zip(methods.into_iter().cycle()) {
        let path = number.wrapping_mul(2_654_435_761);
        let close = if number == 999 { "close" } else { "keep-alive" };
        let request = format!(
            "{method} /{path:x}?{path} HTTP/1.1\r\nHost: a\r\nX-{path}: {path}\r\nConnection: {close}\r\n\r\n"
        );
        requests.push_str(&request);
    }
    let answers = one.say(requests);

    case.expect("answers", 1_000, answers.matches("HTTP/1.1 404").count());
    case.expect("series more", 0, series(one).saturating_sub(before));
    let other = "request_count{method=\"OTHER\",path=\"unmatched\",status_code=\"404\"}";
    case.expect(
        "unknown methods share one label",
        true,
        one.metric(other) > 500.0,
    );
}

#[tokio::test]
async fn h15_nothing_that_is_sent_writes_to_a_log_or_a_terminal() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let one = &replicas.one;
    let account = one.register("noisy");
    let body = json!({"email": account.email, "password": account.password}).to_string();

    for agent in [
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "a\u{2028}b\u{2029}c",
        "{\"level\":\"fatal\",\"message\":\"owned\"}",
        "a\tb",
        "\u{202e}reversed",
    ] {
        // What is no legal header is refused by the parser, before anything is logged.
        let request = format!(
            "POST /auth/token HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: {agent}\r\n\
             Content-Type: application/json\r\ntraceparent: {agent}\r\nX-Request-ID: {agent}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let expected = if agent.contains('\u{1b}') {
            "400"
        } else {
            "200"
        };
        case.expect(agent, expected, raw_verdict(&one.say(request)));
    }
    let reply = one.ask(
        "GET",
        "/%1b[2J?%1b[2J=%7b%22level%22:%22fatal%22%7d",
        &[],
        "",
    );
    case.expect("in the path", "404 not_found", verdict(&reply));
    let reply = one.post(
        "/auth/register",
        "{\"email\": \"\\u001b[2J@marked.example\", \"\\u001b\": 1}",
    );
    case.expect("in a body", "422 validation_failed", verdict(&reply));
    let shown = ["\u{1b}", "\\u001b"]
        .iter()
        .any(|escape| reply.body.contains(escape));
    case.expect("repeated to the client", false, shown);

    let sentinel = [("X-Correlation-ID", "sentinel")];
    one.ask("GET", "/openapi.json", &sentinel, "");
    let lines = eventually("the last line", || {
        let lines = one.service.lines();
        lines
            .iter()
            .any(|line| line["correlation_id"] == "sentinel")
            .then_some(lines)
    });
    let text = lines.iter().map(Value::to_string).collect::<String>();
    for mark in [
        "owned", "\\u001b", "\u{1b}", "\u{2028}", "\u{202e}", "marked",
    ] {
        case.expect(format!("{mark:?} in the log"), false, text.contains(mark));
    }
    let controls = "SELECT count(*) FROM sessions WHERE user_agent ~ '[\\x01-\\x1f\\x7f]'";
    case.expect(
        "control characters in the database",
        0,
        replicas.value::<i64>(controls, &[]).await,
    );
}
