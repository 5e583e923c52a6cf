//! Names, labels and bounds of the metrics.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::json;
use uuid::Uuid;
use warp_skeleton::features::identity::Role;

use super::{panicking_endpoint, value_of};
use crate::support::TestApp;

/// The series without their values.
fn series(metrics: &str) -> BTreeSet<String> {
    metrics
        .lines()
        .filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()))
        .collect()
}

/// The label names of each family; parts of a histogram count as their family.
fn labels(metrics: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut families: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for series in series(metrics) {
        if series.starts_with('#') {
            continue;
        }
        let (name, labels) = series.split_once('{').unwrap_or((&series, ""));
        let is_histogram = |base: &str| metrics.contains(&format!("# TYPE {base} histogram"));
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|base| is_histogram(base)));
        let names = labels
            .split("\",")
            .filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()))
            .filter(|name| name != "le");
        let family = families.entry(base.unwrap_or(name).to_owned()).or_default();
        family.extend(names);
    }
    families
}

#[tokio::test]
async fn the_metrics_have_the_names_and_labels_that_dashboards_know() {
    let app = TestApp::with_endpoints(
        &[("DB_POOL_TIMEOUT_MS", "1000")],
        vec![panicking_endpoint()],
    )
    .await;
    app.signed_in(Role::Member).await;
    app.get("/panic").send().await.assert_status(500);
    let mut held = Vec::new();
    while let Ok(connection) = app.app.database.connection().await {
        held.push(connection);
    }

    let answer = app.get("/metrics").send().await;

    answer.assert_status(200);
    let families = labels(&answer.text());
    for (name, expected) in [
        ("request_count", &["method", "path", "status_code"][..]),
        ("error_count", &["method", "path", "status_code"]),
        (
            "request_latency_seconds",
            &["method", "path", "status_code"],
        ),
        ("requests_in_flight", &[]),
        (
            "db_query_duration_seconds",
            &["db_system", "operation", "query"],
        ),
        ("db_errors_total", &["db_system", "operation", "query"]),
        ("db_pool_connections", &["state"]),
        ("db_pool_wait_seconds", &[]),
        ("password_hash_seconds", &[]),
        ("password_hash_queue", &[]),
        ("auth_events_total", &["event", "outcome"]),
        ("build_info", &["revision", "version"]),
        ("process_cpu_seconds_total", &[]),
        ("process_open_fds", &[]),
        ("process_resident_memory_bytes", &[]),
        ("process_start_time_seconds", &[]),
    ] {
        let found = families.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{name}");
    }
}

#[tokio::test]
async fn requests_are_counted_under_their_template() {
    let app = TestApp::start().await;

    for _ in 0..3 {
        let answer = app.get("/problems/not_found").send().await;
        answer.assert_status(200);
    }
    app.get("/problems/none").send().await.assert_status(404);

    let metrics = app.app.operations.metrics().unwrap();
    let labels = "{method=\"GET\",path=\"/problems/{code}\",status_code=\"200\"}";
    for family in ["request_count", "request_latency_seconds_count"] {
        assert_eq!(value_of(&metrics, &format!("{family}{labels}")), Some(3.0));
    }
    assert!(!metrics.contains("/problems/not_found"));
    assert!(!metrics.contains("/problems/none"));
}

#[tokio::test]
async fn only_failures_of_ours_count_as_errors() {
    let app = TestApp::start().await;

    app.get("/nothing").send().await.assert_status(404);
    app.app.lifecycle.drain();
    app.get("/ready").send().await.assert_status(503);

    let metrics = app.app.operations.metrics().unwrap();
    let errors: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("error_count"))
        .collect();
    assert_eq!(
        errors,
        ["error_count{method=\"GET\",path=\"/ready\",status_code=\"503\"} 1"]
    );
}

#[tokio::test]
async fn ten_thousand_random_paths_add_no_line() {
    let app = TestApp::start().await;
    let methods: Vec<Method> = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW",
    ]
    .iter()
    .map(|name| Method::from_bytes(name.as_bytes()).unwrap())
    .collect();
    for method in &methods {
        app.call(method.clone(), "/warm-up").send().await;
    }
    let before = app.app.operations.metrics().unwrap();

    for number in 0..10_000 {
        let method = if number % 9 == 8 {
            Method::from_bytes(format!("M{number}").as_bytes()).unwrap()
        } else {
            methods[number % 9].clone()
        };
        let path = format!("/{}?{number}", Uuid::new_v4());
        app.call(method, &path).send().await.assert_status(404);
    }

    let after = app.app.operations.metrics().unwrap();
    assert_eq!(series(&after), series(&before));
    let unmatched = "request_count{method=\"GET\",path=\"unmatched\",status_code=\"404\"}";
    assert_eq!(value_of(&after, unmatched), Some(1113.0));
}

#[tokio::test]
async fn signing_in_is_counted_by_its_outcome() {
    let app = TestApp::start().await;
    let user = app.user().create().await;

    app.sign_in(&user).await;
    let wrong = app.try_sign_in(&user.email, "marked-password-wrong").await;

    wrong.assert_problem(401, "invalid_credentials");
    let metrics = app.app.operations.metrics().unwrap();
    let events = metrics
        .lines()
        .filter(|line| line.starts_with("auth_events_total{") && !line.ends_with(" 0"));
    assert_eq!(events.count(), 2, "{metrics}");
    assert!(!metrics.contains(&user.email));
}

#[tokio::test]
async fn a_hash_is_measured_and_the_queue_is_empty_afterwards() {
    let app = TestApp::start().await;
    let body = json!({"email": "hash@marked.example", "password": "marked-password"});

    app.post("/auth/register")
        .json(&body)
        .send()
        .await
        .assert_status(201);

    let metrics = app.app.operations.metrics().unwrap();
    assert_eq!(
        value_of(&metrics, "password_hash_seconds_count "),
        Some(1.0)
    );
    assert_eq!(value_of(&metrics, "password_hash_queue "), Some(0.0));
}
