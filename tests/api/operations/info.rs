//! `GET /info`

use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use warp_skeleton::features::identity::Role;

use crate::support::{SECRET, TestApp};

#[tokio::test]
async fn a_member_is_told_what_is_running() {
    let app = TestApp::with(&[("SERVICE_NAME", "notes")]).await;
    let (_, token) = app.signed_in(Role::Member).await;

    let answer = app.get("/info").bearer(&token).send().await;

    answer.assert_status(200);
    let info = answer.json();
    let mut names: Vec<_> = info.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(
        names,
        [
            "git_revision",
            "name",
            "started_at",
            "uptime_seconds",
            "version"
        ]
    );
    assert_eq!(info["name"], "notes");
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert!(info["git_revision"].is_string());
    let started = OffsetDateTime::parse(info["started_at"].as_str().unwrap(), &Rfc3339).unwrap();
    assert!((app.now() - started).abs() < Duration::minutes(5));
}

#[tokio::test]
async fn uptime_follows_the_clock() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Member).await;
    let uptime = async || {
        let answer = app.get("/info").bearer(&token).send().await;
        answer.json()["uptime_seconds"].as_i64().unwrap()
    };
    let before = uptime().await;

    app.advance(Duration::seconds(100));

    assert!((100..110).contains(&(uptime().await - before)));
}

#[tokio::test]
async fn a_viewer_is_not_told() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Viewer).await;

    let answer = app.get("/info").bearer(&token).send().await;

    answer.assert_problem(403, "insufficient_role");
    assert!(!answer.text().contains("uptime"));
}

#[tokio::test]
async fn no_secret_is_told() {
    let app = TestApp::start().await;
    let (_, token) = app.signed_in(Role::Owner).await;

    let answer = app.get("/info").bearer(&token).send().await;

    for secret in [SECRET, &app.url, "postgres", "127.0.0.1"] {
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
}
