//! Which endpoint a request meets, and what it is told when there is none.

use std::collections::{BTreeMap, BTreeSet};

use chassis_http::Access;
use http::{Method, header};
use warp_skeleton::features::identity::Role;

use super::{operations, path_of};
use crate::support::TestApp;

/// Every template with the methods that are stated for it.
fn stated_methods(app: &TestApp) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut stated: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for operation in operations(app) {
        let methods = stated.entry(operation.template).or_default();
        methods.insert(operation.method.to_string());
    }
    stated
}

/// What `Allow` has to say about a path with these methods.
fn allow_of(stated: &BTreeSet<String>) -> String {
    let mut methods = stated.clone();
    methods.insert("OPTIONS".to_owned());
    if stated.contains("GET") {
        methods.insert("HEAD".to_owned());
    }
    methods.into_iter().collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_path_that_no_endpoint_has_is_not_found() {
    let app = TestApp::start().await;

    for path in [
        "/",
        "/nothing",
        "/auth",
        "/AUTH/ME",
        "/auth/me/more",
        "/auth/sessions/1/2",
        "//live",
        "/live%20",
        "/live%2F",
        "/./live",
        "/auth/../live",
        "/auth/sessions/{id}/x",
    ] {
        let answer = app.get(path).send().await;

        answer.assert_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_trailing_slash_makes_another_path() {
    let app = TestApp::start().await;

    for operation in operations(&app) {
        let path = format!("{}/", path_of(operation.template));
        let answer = app.call(operation.method, &path).send().await;

        answer.assert_problem(404, "not_found");
    }
}

#[tokio::test]
async fn every_path_has_exactly_the_methods_that_are_stated_for_it() {
    let app = TestApp::start().await;
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"];

    for (template, stated) in stated_methods(&app) {
        let allow = allow_of(&stated);
        for method in methods {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = app.call(method.clone(), &path_of(template)).send().await;

            let expected = allow.split(", ").any(|name| name == method.as_str());
            assert_eq!(
                answer.status.as_u16() != 405,
                expected,
                "{method} {template}: {}",
                answer.status
            );
            if !expected {
                assert_eq!(answer.header(header::ALLOW), allow, "{method} {template}");
            }
        }
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_a_405_that_lists_those_it_has() {
    let app = TestApp::start().await;

    for (method, path, allow) in [
        ("POST", "/live", "GET, HEAD, OPTIONS"),
        ("GET", "/auth/token", "OPTIONS, POST"),
        ("DELETE", "/auth/me", "GET, HEAD, OPTIONS, PATCH"),
        ("PUT", "/auth/sessions/1", "DELETE, OPTIONS"),
        ("BREW", "/live", "GET, HEAD, OPTIONS"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = app.call(method, path).send().await;

        answer.assert_problem(405, "method_not_allowed");
        assert_eq!(answer.header(header::ALLOW), allow);
    }
}

#[tokio::test]
async fn an_unknown_method_on_an_unknown_path_is_not_found() {
    let app = TestApp::start().await;

    let method = Method::from_bytes(b"BREW").unwrap();
    let answer = app.call(method, "/nothing").send().await;

    answer.assert_problem(404, "not_found");
}

#[tokio::test]
async fn options_tells_the_methods_of_every_path() {
    let app = TestApp::start().await;

    for (template, stated) in stated_methods(&app) {
        let answer = app.call(Method::OPTIONS, &path_of(template)).send().await;

        answer.assert_status(204);
        assert_eq!(
            answer.header(header::ALLOW),
            allow_of(&stated),
            "{template}"
        );
        assert!(answer.body.is_empty());
    }
}

#[tokio::test]
async fn options_on_an_unknown_path_is_not_found() {
    let app = TestApp::start().await;

    let answer = app.call(Method::OPTIONS, "/nothing").send().await;

    answer.assert_problem(404, "not_found");
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Owner).await;
    let readable = operations(&app)
        .into_iter()
        .filter(|operation| operation.method == Method::GET);

    for operation in readable {
        let path = path_of(operation.template);
        let ask = |method: Method| {
            let call = app.call(method, &path).header("x-correlation-id", "same");
            if operation.access == Access::Anyone {
                call
            } else {
                call.bearer(&token)
            }
        };
        let get = ask(Method::GET).send().await;
        let mut head = ask(Method::HEAD).send().await;

        assert_eq!(head.status, get.status, "{path}");
        assert!(head.body.is_empty(), "{path}");
        let length = head.headers.remove(header::CONTENT_LENGTH).unwrap();
        assert_eq!(head.headers, get.headers, "{path}");
        // These two are never twice the same.
        if !matches!(path.as_str(), "/metrics" | "/health") {
            assert_eq!(
                length.to_str().unwrap(),
                get.body.len().to_string(),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn the_reply_to_head_has_no_body_when_it_is_a_problem_either() {
    let app = TestApp::start().await;

    for (path, status) in [("/nothing", 404), ("/auth/token", 405), ("/auth/me", 401)] {
        let get = app.get(path).header("x-correlation-id", "same");
        let get = get.send().await;
        let head = app.call(Method::HEAD, path);
        let head = head.header("x-correlation-id", "same").send().await;

        head.assert_status(status);
        assert!(head.body.is_empty(), "{path}");
        assert_eq!(
            head.header(header::CONTENT_LENGTH),
            get.body.len().to_string(),
            "{path}"
        );
        assert_eq!(
            head.header(header::CONTENT_TYPE),
            get.header(header::CONTENT_TYPE)
        );
    }
}

#[tokio::test]
async fn no_reply_is_kept_or_guessed_at_unless_its_endpoint_says_so() {
    let app = TestApp::start().await;

    for path in ["/live", "/nothing", "/auth/me", "/problems/not_found"] {
        let answer = app.get(path).send().await;

        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store", "{path}");
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    }
}
