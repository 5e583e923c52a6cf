//! Bodies that are dear to read, mean two things, or mean something to the database.

use std::io::Write;

use serde_json::json;

use super::{Case, HURRIED, JSON, Replica, Replicas, SQL, broken_rule, raw_verdict, verdict};

/// What the operating system keeps in memory for a process, in KiB.
#[cfg(target_os = "linux")]
fn resident(replica: &Replica) -> u64 {
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

fn post_bytes(replica: &Replica, body: &[u8]) -> String {
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
