//! Answers that a foreign page or a cache could get hold of.

use serde_json::json;

use super::{Case, JSON, Replicas, Reply, verdict};

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
