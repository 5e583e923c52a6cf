//! Methods, paths and hosts that mean something else to somebody else.

use super::{Case, HURRIED, JSON, Replicas, raw_verdict, verdict};

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
