//! Requests that the pages of other sites have sent.

use http::Method;
use serde_json::json;
use warp_skeleton::{features::identity::Role, routes};

use super::{ALLOWED, NAME, app, app_with, credentials, set_cookies, sign_in, signed_in};
use crate::support::{Answer, TestApp};

const OWN: &str = "https://api.example.com";
const OTHER: &str = "https://evil.example";

/// What a browser says about the page that had a request sent, and whether such a page may.
const PAGES: [(Option<&str>, Option<&str>, bool); 13] = [
    (Some("same-origin"), None, true),
    (Some("same-origin"), Some(OWN), true),
    (Some("same-site"), None, false),
    (Some("same-site"), Some(ALLOWED), true),
    (Some("same-site"), Some(OTHER), false),
    (Some("cross-site"), None, false),
    (Some("cross-site"), Some(ALLOWED), true),
    (Some("cross-site"), Some(OTHER), false),
    (Some("cross-site"), Some(OWN), false),
    (Some("none"), None, false),
    (None, Some(OWN), true),
    (None, Some(OTHER), false),
    (None, None, false),
];

/// How a caller proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Nothing,
    Bearer,
    Cookie,
    EndedCookie,
}

struct Request<'a> {
    method: Method,
    path: &'a str,
    site: Option<&'a str>,
    origin: Option<&'a str>,
}

async fn ask(app: &TestApp, request: &Request<'_>, by: By, token: &str, cookie: &str) -> Answer {
    let mut call = app.call(request.method.clone(), request.path);
    if matches!(request.method, Method::POST | Method::PATCH) {
        call = call.json(&json!({}));
    }
    for (name, value) in [("sec-fetch-site", request.site), ("origin", request.origin)] {
        if let Some(value) = value {
            call = call.header(name, value);
        }
    }
    match by {
        By::Nothing => call,
        By::Bearer => call.bearer(token),
        By::Cookie => call.header("cookie", cookie),
        By::EndedCookie => {
            let ended = format!("{NAME}={}", "A".repeat(43));
            call.header("cookie", &ended)
        }
    }
    .send()
    .await
}

/// Every endpoint that needs a caller, whatever has the request sent, and by every kind of proof. A body that is refused
/// changes nothing, and shows that the guard was passed.
#[tokio::test]
async fn every_endpoint_with_every_page_and_every_credential() {
    let settings: &[(&str, &str)] = &[
        // recovery: begin
        ("MAIL_FOLDER", env!("CARGO_TARGET_TMPDIR")),
        // recovery: end
    ];
    let app = app_with(settings).await;
    let user = app.user().role(Role::Owner).create().await;
    let other = app.user().role(Role::Owner).create().await;
    let id = "019a0000-0000-7000-8000-000000000000";
    let features = routes::features(&app.app);
    let operations = features
        .iter()
        .flat_map(|feature| &feature.endpoints)
        .map(chassis_http::Endpoint::operation)
        .filter(|operation| operation.access.needs_token());
    let mut tried = 0;
    for operation in operations {
        let path = operation.template.replace("{id}", id).replace("{key}", id);
        let is_safe = operation.method == Method::GET;
        for (site, origin, is_admitted) in PAGES {
            for by in [By::Nothing, By::Bearer, By::Cookie, By::EndedCookie] {
                // Of its own, because some endpoints end the session.
                let token = match by {
                    By::Bearer => app.sign_in(&other).await.access,
                    _ => String::new(),
                };
                let cookie = match by {
                    By::Cookie => sign_in(&app, &user).await,
                    _ => String::new(),
                };
                let request = Request {
                    method: operation.method.clone(),
                    path: &path,
                    site,
                    origin,
                };

                let answer = ask(&app, &request, by, &token, &cookie).await;

                let place = format!("{} {path} {site:?} {origin:?} {by:?}", operation.method);
                let passed = !matches!(answer.status.as_u16(), 401 | 403 | 500..);
                match by {
                    By::Nothing => drop(answer.assert_problem(401, "unauthenticated")),
                    By::Bearer => assert!(passed, "{place}: {}", answer.text()),
                    _ if !is_safe && !is_admitted => {
                        answer.assert_problem(403, "cross_site_request");
                        assert!(set_cookies(&answer).is_empty(), "{place}");
                    }
                    By::Cookie => assert!(passed, "{place}: {}", answer.text()),
                    By::EndedCookie => drop(answer.assert_problem(401, "invalid_token")),
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[tokio::test]
async fn no_other_site_signs_a_browser_in() {
    let app = app().await;
    let user = app.user().create().await;
    for (site, origin, is_admitted) in PAGES {
        let mut call = app.post("/auth/token").json(&credentials(&user));
        for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
            if let Some(value) = value {
                call = call.header(name, value);
            }
        }

        let answer = call.send().await;

        if is_admitted {
            answer.assert_status(200);
            assert_eq!(set_cookies(&answer).len(), 1);
        } else {
            answer.assert_problem(403, "cross_site_request");
            assert!(set_cookies(&answer).is_empty());
        }
    }
}

#[tokio::test]
async fn a_refusal_is_counted_and_changes_nothing() {
    let app = app().await;
    let (user, cookie) = signed_in(&app).await;

    let call = app.post("/auth/logout").header("cookie", &cookie);
    let call = call.header("sec-fetch-site", "cross-site");
    let answer = call.header("origin", OTHER);
    answer
        .send()
        .await
        .assert_problem(403, "cross_site_request");

    assert_eq!(app.sessions_of(&user).await, ["live"]);
    let metrics = app.app.operations.metrics().unwrap();
    let counted = "auth_events_total{event=\"cross_site\",outcome=\"refused\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn the_host_of_a_request_vouches_for_nothing() {
    let app = app().await;
    let (_, cookie) = signed_in(&app).await;

    let call = app.post("/auth/logout").header("cookie", &cookie);
    // In development nothing else is known of it: the tests ask "localhost".
    let call = call.header("origin", "http://localhost");

    call.send().await.assert_problem(403, "cross_site_request");
}

#[tokio::test]
async fn scripts_of_listed_origins_alone_may_send_it() {
    let app = app().await;
    let header = "access-control-allow-credentials";
    for (origin, is_listed) in [(ALLOWED, true), (OTHER, false)] {
        let answer = app.get("/live").header("origin", origin).send().await;
        let preflight = app
            .call(Method::OPTIONS, "/auth/me")
            .header("origin", origin)
            .header("access-control-request-method", "PATCH");

        for answer in [answer, preflight.send().await] {
            let sent = answer
                .headers
                .get(header)
                .map(|value| value.to_str().unwrap());
            assert_eq!(sent, is_listed.then_some("true"), "{origin}");
        }
    }
    let without = TestApp::with(&[("CORS_ALLOWED_ORIGINS", ALLOWED)]).await;
    let answer = without.get("/live").header("origin", ALLOWED).send().await;
    assert!(!answer.headers.contains_key(header));
}
