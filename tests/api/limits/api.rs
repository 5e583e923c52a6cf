//! Class `api`: everything else, counted by each replica for itself.

use super::limited;
use crate::support::TestApp;

#[tokio::test]
async fn a_source_that_asks_too_much_is_refused_whatever_it_asks_for() {
    let app = limited(&[("RATE_LIMIT_API_BURST", "3")]).await;

    app.get("/auth/me").send().await.assert_status(401);
    app.get("/nowhere").send().await.assert_status(404);
    app.delete("/auth/me").send().await.assert_status(405);

    for path in ["/auth/me", "/nowhere", "/info"] {
        let refused = app.get(path).send().await;
        refused.assert_problem(429, "too_many_requests");
        assert_eq!(refused.header("retry-after"), "60");
        assert_eq!(refused.header("ratelimit"), "\"api\";r=0;t=60");
    }
    let other = app.get("/auth/me").from("192.0.2.2").send().await;
    other.assert_status(401);
}

#[tokio::test]
async fn every_answer_says_how_much_is_left() {
    let app = TestApp::with(&[("RATE_LIMIT", "on")]).await;

    let answer = app.get("/nowhere").send().await;

    assert_eq!(answer.header("ratelimit-policy"), "\"api\";q=1000;w=10");
    assert_eq!(answer.header("ratelimit"), "\"api\";r=999;t=1");
}

#[tokio::test]
async fn probes_metrics_and_documentation_are_exempt() {
    let app = limited(&[("RATE_LIMIT_API_BURST", "1")]).await;
    app.get("/nowhere").send().await.assert_status(404);

    for path in [
        "/live",
        "/ready",
        "/health",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/redoc",
    ] {
        for _ in 0..3 {
            let answer = app.get(path).send().await;
            answer.assert_status(200);
            assert_eq!(answer.header("ratelimit"), "", "{path}");
        }
    }
}

#[tokio::test]
async fn signing_in_has_its_own_limit_and_does_not_use_up_this_one() {
    let app = limited(&[("RATE_LIMIT_API_BURST", "1")]).await;
    app.try_sign_in("nobody@marked.example", "whatever")
        .await
        .assert_status(401);

    app.get("/nowhere").send().await.assert_status(404);
    app.try_sign_in("nobody@marked.example", "whatever")
        .await
        .assert_status(401);
}

#[tokio::test]
async fn tokens_come_back_with_time() {
    let app = limited(&[("RATE_LIMIT_API_BURST", "1")]).await;
    app.get("/nowhere").send().await.assert_status(404);
    app.get("/nowhere").send().await.assert_status(429);

    app.advance(time::Duration::seconds(60));

    app.get("/nowhere").send().await.assert_status(404);
}

#[tokio::test]
async fn it_costs_no_round_trip() {
    let app = limited(&[]).await;

    app.get("/nowhere").send().await.assert_status(404);

    assert_eq!(app.count("SELECT count(*) FROM rate_limits").await, 0);
}

#[tokio::test]
async fn without_limits_nobody_is_counted() {
    let app = limited(&[
        ("RATE_LIMIT", "off"),
        ("RATE_LIMIT_API_BURST", "1"),
        ("RATE_LIMIT_AUTH_BURST", "1"),
    ])
    .await;

    for _ in 0..3 {
        let answer = app.get("/nowhere").send().await;
        assert_eq!(answer.assert_status(404).header("ratelimit"), "");
        app.try_sign_in("nobody@marked.example", "whatever")
            .await
            .assert_status(401);
    }
    assert_eq!(app.count("SELECT count(*) FROM rate_limits").await, 0);
}
