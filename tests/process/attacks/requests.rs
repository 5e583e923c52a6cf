//! Requests that a parser, a log, a metric or a browser could be fooled by.

use std::io::Write;

use serde_json::{Value, json};

use super::{Case, Pair, Replicas, Reply, SQL, broken_rule, claims_of, raw_verdict, verdict};
use crate::support::eventually;

/// Makes an idle connection close soon, so that the end of an answer is seen.
const HURRIED: (&str, &str) = ("IDLE_TIMEOUT_MS", "1000");

const JSON: (&str, &str) = ("Content-Type", "application/json");

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

/// What the operating system keeps in memory for a process, in KiB.
#[cfg(target_os = "linux")]
fn resident(replica: &super::Replica) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", replica.service.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Bodies that are dear to read, each with what it is answered.
fn dear_bodies() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let member = |value: &str| format!("{{\"email\": {value}}}").into_bytes();
    let many: Vec<_> = (0..5_000)
        .map(|number| format!("\"k{number}\":1"))
        .collect();
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        (
            "deep arrays",
            member(&"[".repeat(60_000)),
            "422 validation_failed",
        ),
        (
            "deep arrays alone",
            "[".repeat(60_000).into_bytes(),
            "400 malformed_json",
        ),
        (
            "deep arrays, closed",
            format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)).into_bytes(),
            "422 validation_failed",
        ),
        (
            "deep objects",
            "{\"a\":".repeat(12_000).into_bytes(),
            "422 validation_failed",
        ),
        (
            "a long key",
            format!("{{\"{}\": 1}}", "k".repeat(60_000)).into_bytes(),
            "422 validation_failed",
        ),
        (
            "many keys",
            format!("{{{}}}", many.join(",")).into_bytes(),
            "422 validation_failed",
        ),
        ("a number beyond all", member("1e400"), "400 malformed_json"),
        ("minus zero", member("-0"), "422 validation_failed"),
        ("BOM", b"\xef\xbb\xbf{}".to_vec(), "400 malformed_json"),
        ("UTF-16", utf16, "400 malformed_json"),
        (
            "a lone surrogate",
            member("\"\\ud800\""),
            "400 malformed_json",
        ),
        (
            "no UTF-8",
            member("\"\u{0}\"")
                .iter()
                .map(|byte| if *byte == 0 { 0xff } else { *byte })
                .collect(),
            "400 malformed_json",
        ),
        (
            "a trailing comma",
            b"{\"email\": \"a@b.co\",}".to_vec(),
            "400 malformed_json",
        ),
        (
            "two documents",
            b"{\"email\": \"a@b.co\", \"password\": \"marked-password-1\"}{}".to_vec(),
            "400 malformed_json",
        ),
        ("nothing", Vec::new(), "400 malformed_json"),
        ("null", b"null".to_vec(), "422 validation_failed"),
        (
            "beyond the limit",
            b"{".repeat(100_000),
            "413 body_too_large",
        ),
        (
            "a long key beyond it",
            format!("{{\"{}\": 1}}", "k".repeat(1 << 20)).into_bytes(),
            "413 body_too_large",
        ),
        (
            "100000 arrays beyond it",
            "[".repeat(100_000).into_bytes(),
            "413 body_too_large",
        ),
    ]
}

fn post_bytes(replica: &super::Replica, body: &[u8]) -> String {
    let head = format!(
        "POST /auth/register HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    replica.say([head.as_bytes(), body].concat())
}

#[tokio::test]
async fn h03_json_that_is_dear_to_read_is_refused_within_bounds() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let one = &replicas.one;
    let bodies = dear_bodies();

    for (tried, body, expected) in &bodies {
        case.expect(tried, expected, raw_verdict(&post_bytes(one, body)));
    }

    #[cfg(target_os = "linux")]
    {
        // What the first round took stays with the allocator; the next ones must not take more.
        let before = resident(one);
        for _ in 0..5 {
            for (_, body, _) in &bodies {
                post_bytes(one, body);
            }
        }
        let grown = resident(one).saturating_sub(before);
        case.expect(format!("memory: {grown} KiB more"), true, grown < 2048);
    }
    case.expect(
        "accounts",
        0,
        replicas
            .value::<i64>("SELECT count(*) FROM users", &[])
            .await,
    );
    let good = b"{\"email\": \"a@marked.example\", \"password\": \"marked-password-1\"}";
    case.expect("the control", "201", raw_verdict(&post_bytes(one, good)));
}

#[tokio::test]
async fn h04_a_repeated_key_is_refused_wherever_it_is() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let one = &replicas.one;
    let owner = replicas.user("owner", "OWNER").await;
    let pair = one.sign_in(&owner);
    let bearer = format!("Bearer {}", pair.access);
    let before = replicas.holdings().await;

    for (method, path, body, expected) in [
        (
            "POST",
            "/auth/register",
            r#"{"email": "a@marked.example", "email": "b@marked.example", "password": "marked-password-1"}"#,
            "422 duplicate_field /email",
        ),
        (
            "POST",
            "/auth/register",
            r#"{"email": "a@marked.example", "\u0065mail": "b@marked.example", "password": "marked-password-1"}"#,
            "422 duplicate_field /email",
        ),
        (
            "POST",
            "/auth/token",
            r#"{"email": "owner@marked.example", "password": "x", "password": "marked-password-owner"}"#,
            "422 duplicate_field /password",
        ),
        (
            "POST",
            "/auth/refresh",
            r#"{"refresh_token": "a", "refresh_token": "b"}"#,
            "422 duplicate_field /refresh_token",
        ),
        (
            "PATCH",
            "/auth/me",
            r#"{"email": "a@marked.example", "current_password": "x", "current_password": "y"}"#,
            "422 duplicate_field /current_password",
        ),
        (
            "POST",
            "/auth/password",
            r#"{"current_password": "x", "new_password": "y", "new_password": "z"}"#,
            "422 duplicate_field /new_password",
        ),
    ] {
        let reply = one.ask(method, path, &[JSON, ("Authorization", &bearer)], body);
        case.expect(format!("{method} {path}"), expected, broken_rule(&reply));
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let twice = "grant_type=password&grant_type=refresh_token&username=a&password=b";
    let reply = one.ask("POST", "/auth/token", &form, twice);
    case.expect("in the form", "400 invalid_request", verdict(&reply));
    case.unchanged(&before, &replicas.holdings().await);

    let body = json!({"email": "a@marked.example", "current_password": owner.password});
    let reply = one.send(&pair.access, "PATCH", "/auth/me", &body);
    case.expect("the control", "200", verdict(&reply));
}

#[tokio::test]
async fn h05_nul_reaches_the_database_by_no_way() {
    let case = Case::begin();
    let replicas = Replicas::with(&[HURRIED]).await;
    let one = &replicas.one;
    let owner = replicas.user("owner", "OWNER").await;
    let pair = one.sign_in(&owner);
    let bearer = format!("Bearer {}", pair.access);
    let before = replicas.holdings().await;

    for (method, path, body, expected) in [
        (
            "POST",
            "/auth/register",
            r#"{"email": "a\u0000@marked.example", "password": "marked-password-1"}"#,
            "422 nul_character /email",
        ),
        (
            "POST",
            "/auth/register",
            r#"{"email": "a@marked.example", "password": "marked\u0000password"}"#,
            "422 nul_character /password",
        ),
        (
            "POST",
            "/auth/register",
            r#"{"\u0000": "a@marked.example"}"#,
            "422 unknown_field ",
        ),
        (
            "POST",
            "/auth/token",
            r#"{"email": "owner@marked.example\u0000", "password": "x"}"#,
            "422 nul_character /email",
        ),
        (
            "POST",
            "/auth/token",
            r#"{"email": "owner@marked.example", "password": "\u0000"}"#,
            "422 nul_character /password",
        ),
        (
            "POST",
            "/auth/refresh",
            r#"{"refresh_token": "\u0000"}"#,
            "422 nul_character /refresh_token",
        ),
        (
            "PATCH",
            "/auth/me",
            r#"{"email": "a@marked.example", "current_password": "\u0000"}"#,
            "422 nul_character /current_password",
        ),
        (
            "POST",
            "/auth/password",
            r#"{"current_password": "x", "new_password": "marked\u0000password"}"#,
            "422 nul_character /new_password",
        ),
        ("DELETE", "/auth/sessions/%00", "", "404 not_found"),
        ("GET", "/problems/%00", "", "404 not_found"),
    ] {
        let reply = one.ask(method, path, &[JSON, ("Authorization", &bearer)], body);
        case.expect(
            format!("{method} {path} {body}"),
            expected,
            broken_rule(&reply),
        );
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for body in [
        "grant_type=password&username=owner%40marked.example%00&password=x",
        "grant_type=password&username=owner%40marked.example&password=%00",
        "grant_type=refresh_token&refresh_token=%00",
    ] {
        let reply = one.ask("POST", "/auth/token", &form, body);
        case.expect(body, "400 invalid_grant", verdict(&reply));
    }
    for request in [
        "GET /live\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /live HTTP/1.1\r\nHost: a\r\nUser-Agent: a\0b\r\n\r\n",
        "GET /live HTTP/1.1\r\nHost: a\r\nUser\0Agent: a\r\n\r\n",
    ] {
        case.expect(request, "400", raw_verdict(&one.say(request)));
    }
    case.unchanged(&before, &replicas.holdings().await);
    case.expect("the control", "200", verdict(&one.me(&pair.access)));
}

#[tokio::test]
async fn h07_a_compressed_body_is_not_unpacked() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let bomb = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..10 {
            encoder.write_all(&vec![0; 1 << 20]).unwrap();
        }
        encoder.finish().unwrap()
    };

    for coding in [
        "gzip",
        "x-gzip",
        "br",
        "deflate",
        "zstd",
        "gzip, gzip",
        "gzip\r\nContent-Encoding: br",
        "identity, gzip",
        "*",
    ] {
        let head = format!(
            "POST /auth/register HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            bomb.len()
        );
        let answer = replicas.one.say([head.as_bytes(), &bomb].concat());
        case.expect(coding, "415 unsupported_media_type", raw_verdict(&answer));
    }
    let body = r#"{"email": "b@marked.example", "password": "marked-password-1"}"#;
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(body.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let head = format!(
        "POST /auth/register HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: gzip, chunked\r\n\r\n{:x}\r\n",
        packed.len()
    );
    let request = [head.as_bytes(), &packed, b"\r\n0\r\n\r\n"].concat();
    let answer = replicas.one.say(request);
    case.expect(
        "as a transfer coding",
        "400 malformed_json",
        raw_verdict(&answer),
    );
    let accounts: i64 = replicas.value("SELECT count(*) FROM users", &[]).await;
    case.expect("accounts", 0, accounts);

    let headers = [JSON, ("Content-Encoding", "identity")];
    let reply = replicas.one.ask("POST", "/auth/register", &headers, body);
    case.expect("the control", "201", verdict(&reply));
}

#[tokio::test]
async fn h08_a_method_is_what_the_request_line_says() {
    let case = Case::begin();
    let replicas = Replicas::with(&[HURRIED]).await;
    let one = &replicas.one;
    let account = one.register("methodical");
    let pair = one.sign_in(&account);
    let before = replicas.holdings().await;

    for method in [
        "TRACE", "TRACK", "DEBUG", "PROPFIND", "AAAA", "get", "Get", "PUT", "DELETE",
    ] {
        let reply = one.ask(method, "/auth/me", &[], "");
        case.expect(method, "405 method_not_allowed", verdict(&reply));
        case.expect(method, "get, head, options, patch", reply.header("allow"));
        case.expect(method, false, reply.body.contains("TRACE"));
    }
    let connect = one.say("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n");
    case.expect("CONNECT", "404 not_found", raw_verdict(&connect));
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        let bearer = format!("Bearer {}", pair.access);
        let reply = one.ask(
            "GET",
            "/auth/me",
            &[("Authorization", &bearer), (name, "DELETE")],
            "",
        );
        case.expect(name, "200", verdict(&reply));
        let reply = one.ask(
            "POST",
            "/auth/me",
            &[("Authorization", &bearer), (name, "GET")],
            "",
        );
        case.expect(name, "405 method_not_allowed", verdict(&reply));
    }
    for path in ["/live", "/auth/me", "/info", "/nowhere"] {
        let answer = one.say(format!(
            "HEAD {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        ));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let expected = one.ask("GET", path, &[], "").status.to_string();
        case.expect(path, expected, head.split(' ').nth(1).unwrap());
        case.expect("bytes of a body", 0, body.len());
    }
    let reply = one.ask("OPTIONS", "/auth/me", &[], "");
    case.expect(
        "OPTIONS",
        "204 get, head, options, patch",
        format!("{} {}", reply.status, reply.header("allow")),
    );
    case.expect(
        "OPTIONS *",
        "404 not_found",
        verdict(&one.ask("OPTIONS", "*", &[], "")),
    );
    case.unchanged(&before, &replicas.holdings().await);
}

#[tokio::test]
async fn h09_a_path_is_what_it_is_written_as() {
    let case = Case::begin();
    let replicas = Replicas::with(&[HURRIED]).await;
    let one = &replicas.one;
    let account = one.register("walker");
    let pair = one.sign_in(&account);

    for path in [
        "//auth/me",
        "/auth//me",
        "/auth/./me",
        "/auth/../auth/me",
        "/live/../auth/me",
        "/%2e%2e/auth/me",
        "/auth%2fme",
        "/auth/%6de",
        "/auth/me/",
        "/auth/me;a=b",
        "/auth/me%00",
        "/auth/me%0d%0aA:%20b",
        "/auth/me\\",
        "/AUTH/ME",
        "/auth/me.json",
        "/auth/sessions/",
        "/metrics/",
    ] {
        case.expect(path, "404 not_found", verdict(&one.get(&pair.access, path)));
        case.expect(
            path,
            "404 not_found",
            verdict(&one.ask("GET", path, &[], "")),
        );
    }
    let long = "x".repeat(20_000);
    case.expect(
        "20 KB",
        "404 not_found",
        verdict(&one.ask("GET", &format!("/{long}"), &[], "")),
    );
    for length in [40_000, 65_536, 200_000] {
        let path = "x".repeat(length);
        let seen = raw_verdict(&one.say(format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n")));
        case.expect(
            "a path as long as a head",
            true,
            ["414", "431"].contains(&seen.as_str()),
        );
    }
    case.expect(
        "the control",
        "200",
        verdict(&one.get(&pair.access, "/auth/me")),
    );
    let metrics = one.ask("GET", "/metrics", &[], "").body;
    let labels = metrics
        .lines()
        .filter(|line| line.starts_with("request_count{"));
    let walked =
        labels.filter(|line| line.contains("..") || line.contains('%') || line.contains("xxx"));
    case.expect("labels made of paths", 0, walked.count());
    let unmatched = "request_count{method=\"GET\",path=\"unmatched\",status_code=\"404\"}";
    case.expect("counted as unmatched", 35.0, one.metric(unmatched));
}

/// How many series count requests.
fn series(replica: &super::Replica) -> usize {
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
async fn h11_only_an_allowed_origin_reads_answers() {
    let case = Case::begin();
    let allowed = "https://app.example.com";
    let replicas = Replicas::with(&[("CORS_ALLOWED_ORIGINS", allowed)]).await;
    let one = &replicas.one;
    let requests: [(&str, &str, &str, &str); 5] = [
        ("GET", "/live", "", "200"),
        ("GET", "/auth/me", "", "401 unauthenticated"),
        ("GET", "/nowhere", "", "404 not_found"),
        ("POST", "/auth/register", "{", "400 malformed_json"),
        ("PUT", "/live", "", "405 method_not_allowed"),
    ];
    let asked = |origin: &str, (method, path, body, _): (&str, &str, &str, &str)| {
        one.ask(method, path, &[("Origin", origin), JSON], body)
    };

    for request in requests {
        for origin in [
            "https://evil.example",
            "null",
            "https://app.example.com.evil.example",
            "https://evil-app.example.com",
            "https://sub.app.example.com",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://APP.example.com",
            "https://app.example.com/",
            "*",
        ] {
            let reply = asked(origin, request);
            case.expect(origin, request.3, verdict(&reply));
            case.expect(origin, "", reply.header("access-control-allow-origin"));
            case.expect(origin, "origin", reply.header("vary"));
        }
        let reply = asked(allowed, request);
        case.expect("the control", request.3, verdict(&reply));
        case.expect(
            "the control",
            allowed,
            reply.header("access-control-allow-origin"),
        );
        case.expect(
            "the control",
            "",
            reply.header("access-control-allow-credentials"),
        );
        case.expect("the control", "origin", reply.header("vary"));
    }
    let too_large = one.ask(
        "POST",
        "/auth/register",
        &[("Origin", allowed), JSON],
        &"x".repeat(70_000),
    );
    case.expect("413", "413 body_too_large", verdict(&too_large));
    case.expect(
        "413",
        allowed,
        too_large.header("access-control-allow-origin"),
    );
    let preflight = |origin: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "PATCH"),
            (
                "Access-Control-Request-Headers",
                "authorization, x-anything",
            ),
        ];
        one.ask("OPTIONS", "/auth/me", &headers, "")
    };
    let reply = preflight(allowed);
    case.expect("a preflight", "204", verdict(&reply));
    let headers = reply.header("access-control-allow-headers");
    case.expect(
        "an unknown header",
        false,
        headers.contains("x-anything") || headers.contains('*'),
    );
    case.expect(
        "a header that is known",
        true,
        headers.contains("authorization"),
    );
    let reply = preflight("https://evil.example");
    case.expect(
        "a preflight from elsewhere",
        "",
        reply.header("access-control-allow-methods"),
    );
}

#[tokio::test]
async fn h12_the_host_is_stated_once_and_leads_nowhere() {
    let case = Case::begin();
    let replicas = Replicas::with(&[HURRIED]).await;
    let one = &replicas.one;

    for hosts in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: a@b\r\n",
        "Host: a, b\r\n",
    ] {
        let request = format!("GET /live HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        case.expect(hosts, "400 invalid_request", raw_verdict(&one.say(request)));
    }
    for hosts in [
        "Host: evil.example",
        "Host: [::1]:8000",
        "Host: a_b.example:80",
        "Host:",
        "Host: a\r\nX-Forwarded-Host: evil.example",
    ] {
        let request = format!("GET /live HTTP/1.1\r\n{hosts}\r\nConnection: close\r\n\r\n");
        case.expect(hosts, "200", raw_verdict(&one.say(request)));
    }
    case.expect(
        "HTTP/1.0 needs none",
        "200",
        raw_verdict(&one.say("GET /live HTTP/1.0\r\n\r\n")),
    );
    let absolute = "GET http://evil.example/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    case.expect("an absolute form", "200", raw_verdict(&one.say(absolute)));

    let evil = [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "gopher"),
        ("Forwarded", "host=evil.example"),
        JSON,
    ];
    let body = r#"{"email": "third@marked.example", "password": "marked-password-1"}"#;
    let created = one.ask("POST", "/auth/register", &evil, body);
    case.expect("an account", "201", verdict(&created));
    case.expect(
        "its address",
        true,
        created.header("location").starts_with("/users/"),
    );
    let named = created.head.contains("evil") || created.body.contains("evil");
    case.expect("the other host is named", false, named);
}

/// The address that the session of a new sign-in is recorded with.
fn recorded_ip(replica: &super::Replica, account: &super::Account, forwarded: &[&str]) -> String {
    let mut headers = vec![JSON];
    headers.extend(forwarded.iter().map(|line| ("X-Forwarded-For", *line)));
    let body = json!({"email": account.email, "password": account.password}).to_string();
    let pair = Pair::of(&replica.ask("POST", "/auth/token", &headers, &body));
    let id = claims_of(&pair.access)["sid"].clone();
    let sessions = replica.get(&pair.access, "/auth/sessions").json();
    let sessions = sessions["items"].as_array().unwrap().clone();
    let own = sessions
        .into_iter()
        .find(|session| session["id"] == id)
        .unwrap();
    own["ip"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn h13_an_address_is_believed_from_a_trusted_proxy_and_read_from_the_right() {
    let case = Case::begin();
    let url = super::cluster::new_database().await;
    let trusting = [("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8, fd00::/8")];
    let replicas = Replicas::over(&url, &trusting, &[]).await;
    let account = replicas.one.register("traveller");
    let many = vec!["198.51.100.7"; 1_000].join(", ");

    for (tried, lines, expected) in [
        ("nothing", vec![], "127.0.0.1"),
        ("one hop", vec!["203.0.113.9"], "203.0.113.9"),
        (
            "a forged hop on the left",
            vec!["192.0.2.1, 203.0.113.9"],
            "203.0.113.9",
        ),
        (
            "own proxies on the right",
            vec!["192.0.2.1, 203.0.113.9, 10.1.2.3, fd00::1"],
            "203.0.113.9",
        ),
        ("only own proxies", vec!["10.1.2.3"], "10.1.2.3"),
        (
            "two headers",
            vec!["192.0.2.1", "203.0.113.9"],
            "203.0.113.9",
        ),
        ("garbage", vec!["203.0.113.9, garbage"], "127.0.0.1"),
        (
            "garbage behind a proxy",
            vec!["garbage, 10.1.2.3"],
            "10.1.2.3",
        ),
        (
            "nothing between commas",
            vec!["203.0.113.9,,"],
            "203.0.113.9",
        ),
        ("a zone", vec!["fe80::1%eth0"], "fe80::1"),
        ("a port", vec!["203.0.113.9:4711"], "203.0.113.9"),
        ("brackets", vec!["[2001:db8::1]"], "2001:db8::1"),
        (
            "brackets and a port",
            vec!["192.0.2.1:80, [2001:db8::1]:443, 10.1.2.3:5000"],
            "2001:db8::1",
        ),
        ("half a bracket", vec!["[2001:db8::1"], "127.0.0.1"),
        ("no port", vec!["203.0.113.9:"], "127.0.0.1"),
        ("octal", vec!["0313.0.0113.9"], "127.0.0.1"),
        ("SQL", vec!["'; DROP TABLE users --"], "127.0.0.1"),
        ("IPv6", vec!["2001:db8::1"], "2001:db8::1"),
        ("IPv4 in IPv6", vec!["::ffff:203.0.113.9"], "203.0.113.9"),
        (
            "a thousand hops",
            vec![many.as_str(), "203.0.113.9"],
            "203.0.113.9",
        ),
    ] {
        let seen = recorded_ip(&replicas.one, &account, &lines);
        case.expect(tried, expected, seen);
        let untrusted = recorded_ip(&replicas.two, &account, &lines);
        case.expect(tried, "127.0.0.1", untrusted);
    }
    let stored = "SELECT count(DISTINCT ip) FROM sessions";
    case.expect(
        "addresses in the database",
        5,
        replicas.value::<i64>(stored, &[]).await,
    );
}

#[tokio::test]
async fn h14_sql_in_a_field_is_a_text_like_any_other() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let owner = replicas.user("owner", "OWNER").await;

    for (number, text) in SQL.into_iter().enumerate() {
        let email = format!("sql{number}@marked.example");
        let password = format!("{text} marked-password");
        let body = json!({"email": email, "password": password}).to_string();
        case.expect(text, "201", verdict(&one.post("/auth/register", &body)));
        case.expect(text, "200", verdict(&two.try_sign_in(&email, &password)));
        let guess = two.try_sign_in(&owner.email, text);
        case.expect(text, "401 invalid_credentials", verdict(&guess));
    }
    // These characters are legal in an address, and mean themselves there.
    for email in [
        "o'reilly@marked.example",
        "a_b@marked.example",
        "100%@marked.example",
        "$1@marked.example",
    ] {
        let body = json!({"email": email, "password": "marked-password-1"}).to_string();
        case.expect(email, "201", verdict(&one.post("/auth/register", &body)));
        let kept = "SELECT count(*) FROM users WHERE email = $1";
        let kept: i64 = replicas.value(kept, &[&email]).await;
        case.expect(email, 1, kept);
    }
    let agent = [JSON, ("User-Agent", "'; DROP TABLE sessions; --")];
    let body = json!({"email": owner.email, "password": owner.password}).to_string();
    case.expect(
        "a user agent",
        "200",
        verdict(&one.ask("POST", "/auth/token", &agent, &body)),
    );
    let stored = "SELECT user_agent FROM sessions ORDER BY created_at DESC LIMIT 1";
    case.expect(
        "what is stored",
        agent[1].1,
        replicas.value::<String>(stored, &[]).await,
    );
    case.expect(
        "accounts",
        13,
        replicas
            .value::<i64>("SELECT count(*) FROM users", &[])
            .await,
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

#[tokio::test]
async fn h22_no_cache_keeps_what_is_about_accounts() {
    let case = Case::begin();
    let replicas = Replicas::start().await;
    let one = &replicas.one;
    let owner = replicas.user("owner", "OWNER").await;
    let pair = one.sign_in(&owner);
    let bearer = format!("Bearer {}", pair.access);
    let body = json!({"email": owner.email, "password": owner.password}).to_string();

    let refresh = json!({"refresh_token": pair.refresh}).to_string();
    for (method, path, headers, body, expected) in [
        ("POST", "/auth/token", vec![], body.as_str(), "200"),
        ("POST", "/auth/token", vec![], "{}", "422 validation_failed"),
        ("POST", "/auth/refresh", vec![], refresh.as_str(), "200"),
        (
            "POST",
            "/auth/register",
            vec![],
            body.as_str(),
            "409 email_taken",
        ),
        (
            "GET",
            "/auth/me",
            vec![("Authorization", bearer.as_str())],
            "",
            "200",
        ),
        ("GET", "/auth/me", vec![], "", "401 unauthenticated"),
        (
            "GET",
            "/auth/sessions",
            vec![("Authorization", bearer.as_str())],
            "",
            "200",
        ),
        (
            "GET",
            "/info",
            vec![("Authorization", bearer.as_str())],
            "",
            "200",
        ),
        ("GET", "/nowhere", vec![], "", "404 not_found"),
    ] {
        let headers = [&headers[..], &[JSON, ("If-None-Match", "*")]].concat();
        let reply: Reply = one.ask(method, path, &headers, body);
        case.expect(path, expected, verdict(&reply));
        case.expect(path, "no-store", reply.header("cache-control"));
        case.expect(path, "", reply.header("etag"));
        case.expect(path, "nosniff", reply.header("x-content-type-options"));
        case.expect(path, "", reply.header("server"));
    }
}
