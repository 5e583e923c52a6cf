//! `GET /live`, `GET /ready`

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::{CLOSED, mute_database};
use crate::support::TestApp;

#[tokio::test]
async fn a_service_is_alive_and_ready() {
    let app = TestApp::start().await;

    let live = app.get("/live").send().await;
    let ready = app.get("/ready").send().await;

    live.assert_status(200);
    assert_eq!(live.json(), json!({"status": "ok"}));
    ready.assert_status(200);
    assert_eq!(ready.json(), json!({"status": "ready"}));
}

#[tokio::test]
async fn however_many_ask_at_once_the_database_is_asked_once() {
    let app = TestApp::start().await;
    for (path, statements) in [("/ready", 1), ("/health", 5)] {
        let before = app.statements();

        let answers = join_all((0..100).map(|_| app.get(path).send())).await;

        assert!(answers.iter().all(|answer| answer.status == 200), "{path}");
        let asked = app.statements() - before;
        assert!(asked <= statements, "{path}: {asked} statements");
    }
}

#[tokio::test]
async fn what_monitors_and_browsers_ask_bears_their_parameters() {
    let app = TestApp::start().await;

    for path in [
        "/live",
        "/ready",
        "/health",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/redoc",
        "/problems/not_found",
    ] {
        for query in ["?cache=1730000000", "?a=1&a=2", "?%00=%00", "?utm_source=x"] {
            let answer = app.get(&format!("{path}{query}")).send().await;
            answer.assert_status(200);
        }
    }
}

#[tokio::test]
async fn while_it_drains_a_service_is_alive_but_not_ready() {
    let app = TestApp::start().await;

    app.app.lifecycle.drain();

    let ready = app.get("/ready").send().await;
    ready.assert_status(503);
    assert_eq!(ready.json(), json!({"status": "not_ready"}));
    app.get("/live").send().await.assert_status(200);
}

#[tokio::test]
async fn requests_are_still_served_while_it_drains() {
    let app = TestApp::start().await;
    let user = app.user().create().await;

    app.app.lifecycle.drain();

    app.sign_in(&user).await;
}

#[tokio::test]
async fn a_service_that_drains_never_becomes_ready_again() {
    let app = TestApp::start().await;

    app.app.lifecycle.drain();
    app.app.lifecycle.serve();

    app.get("/ready").send().await.assert_status(503);
}

#[tokio::test]
async fn without_its_database_a_service_is_alive_but_not_ready() {
    let app = TestApp::start().await;
    let cut_off = app.replica_with(&[("DATABASE_URL", CLOSED)]);

    let ready = cut_off.get("/ready").send().await;

    ready.assert_status(503);
    assert_eq!(ready.json(), json!({"status": "not_ready"}));
    cut_off.get("/live").send().await.assert_status(200);
}

#[tokio::test]
async fn a_database_that_says_nothing_is_given_up_within_a_second() {
    let app = TestApp::start().await;
    let (_listener, url) = mute_database().await;
    let cut_off = app.replica_with(&[("DATABASE_URL", &url)]);

    for path in ["/ready", "/health"] {
        let started = Instant::now();
        let answer = cut_off.get(path).send().await;

        answer.assert_status(503);
        assert!(started.elapsed() < Duration::from_millis(1200), "{path}");
    }
}
