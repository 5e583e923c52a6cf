//! Headers that every reply gets, and who may read it from a browser.

use http::Method;

use super::panicking_endpoint;
use crate::support::{Answer, TestApp};

const OURS: &str = "https://app.marked.example";

async fn asked_from(app: &TestApp, path: &str, origin: &str) -> Answer {
    app.get(path).header("origin", origin).send().await
}

#[tokio::test]
async fn every_reply_says_how_it_may_be_used() {
    let app = TestApp::with_endpoints(&[], vec![panicking_endpoint()]).await;

    for (method, path, status) in [
        (Method::GET, "/live", 200),
        (Method::OPTIONS, "/live", 204),
        (Method::GET, "/auth/me", 401),
        (Method::GET, "/nowhere", 404),
        (Method::DELETE, "/live", 405),
        (Method::POST, "/auth/token", 415),
        (Method::GET, "/panic?x=1", 422),
    ] {
        let answer = app.call(method, path).send().await;
        answer.assert_status(status);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        assert_eq!(answer.header("strict-transport-security"), "");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn a_page_may_load_its_own_parts() {
    let app = TestApp::start().await;

    for page in ["/docs", "/redoc"] {
        let policy = app
            .get(page)
            .send()
            .await
            .header("content-security-policy")
            .to_owned();
        assert!(
            policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
    }
}

#[tokio::test]
async fn tls_in_front_is_insisted_on_when_it_is_said_to_be_there() {
    let app = TestApp::with(&[("HSTS_MAX_AGE", "31536000")]).await;

    let answer = app.get("/nowhere").send().await;

    assert_eq!(
        answer.header("strict-transport-security"),
        "max-age=31536000"
    );
}

#[tokio::test]
async fn subdomains_are_included_only_where_they_are_said_to_be() {
    let seconds = ("HSTS_MAX_AGE", "31536000");
    let app = TestApp::with(&[seconds, ("HSTS_INCLUDE_SUBDOMAINS", "on")]).await;
    let without_seconds = app.replica_with(&[("HSTS_MAX_AGE", "0")]);

    let answer = app.get("/nowhere").send().await;
    let without = without_seconds.get("/nowhere").send().await;

    assert_eq!(
        answer.header("strict-transport-security"),
        "max-age=31536000; includeSubDomains"
    );
    assert!(!without.headers.contains_key("strict-transport-security"));
}

#[tokio::test]
async fn an_allowed_origin_reads_failures_too() {
    let app = TestApp::with(&[("CORS_ALLOWED_ORIGINS", OURS)]).await;

    for path in ["/live", "/auth/me", "/nowhere", "/live?x=1"] {
        let answer = asked_from(&app, path, OURS).await;
        assert_eq!(answer.header("access-control-allow-origin"), OURS, "{path}");
        assert!(
            answer
                .header("access-control-expose-headers")
                .contains("x-correlation-id")
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        assert_eq!(answer.header("vary"), "Origin");
    }
}

#[tokio::test]
async fn any_other_origin_reads_nothing() {
    let app = TestApp::with(&[("CORS_ALLOWED_ORIGINS", OURS)]).await;

    for origin in [
        "null",
        "https://evil.example",
        "http://app.marked.example",
        "https://app.marked.example.evil.example",
        "https://sub.app.marked.example",
        "https://app.marked.example:8443",
    ] {
        let answer = asked_from(&app, "/live", origin).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
        assert_eq!(answer.header("vary"), "Origin");
    }
}

#[tokio::test]
async fn a_preflight_learns_methods_and_headers() {
    let app = TestApp::with(&[("CORS_ALLOWED_ORIGINS", OURS)]).await;

    let preflight = app.call(Method::OPTIONS, "/auth/me").header("origin", OURS);
    let answer = preflight
        .header("access-control-request-method", "PATCH")
        .send()
        .await;

    answer.assert_status(204);
    assert_eq!(
        answer.header("access-control-allow-methods"),
        "GET, HEAD, OPTIONS, PATCH"
    );
    // What the service reads: the token, and what a browser's tracing hands on.
    let allowed: Vec<_> = answer
        .header("access-control-allow-headers")
        .split(", ")
        .collect();
    for header in [
        "authorization",
        "content-type",
        "traceparent",
        "tracestate",
        "baggage",
    ] {
        assert!(allowed.contains(&header), "{header}: {allowed:?}");
    }
}
