//! What the program writes about itself: the references of metrics and settings, README's table of endpoints,
//! and the collection of requests.

mod endpoints;
mod requests;

use std::{collections::BTreeSet, fmt::Write};

use chassis_settings::Declaration;
use http::Method;
use prometheus::proto::{Metric, MetricFamily, MetricType};
use serde_json::json;
use warp_skeleton::{features::identity::Role, settings::catalogue};

use super::panicking_endpoint;
use crate::support::TestApp;

const METRICS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/metrics.md");
const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/settings.md");

const METRICS_INTRODUCTION: &str = "# Metrics

What `GET /metrics` says, in Prometheus' text format; on `ADMIN_PORT` when that is set. The label `path` is the route
template, or `unmatched`. Durations are in seconds, in buckets from 1 ms to 10 s, those of jobs to an hour. A family whose
label values have not occurred yet is absent.

Written by the registry: `REWRITE=1 cargo test --test api reference`.

| name | type | labels | what it is |
| --- | --- | --- | --- |
";

#[tokio::test]
async fn the_reference_of_metrics_is_current() {
    let limits = [("RATE_LIMIT", "on"), ("RATE_LIMIT_ACCOUNT_BURST", "2")];
    let mut app = TestApp::with_endpoints(&limits, vec![panicking_endpoint()]).await;
    let (user, token) = app.signed_in(Role::Member).await;
    app.me(&token).await.assert_status(200);
    app.get("/panic").send().await.assert_status(500);
    let wrong = json!({"email": user.email, "password": "marked-password-wrong"});
    for _ in 0..3 {
        // The last of them is one too many for this account.
        app.post("/auth/token").json(&wrong).send().await;
    }
    app.call(Method::GET, "/metrics")
        .send()
        .await
        .assert_status(200);
    app.advance(time::Duration::hours(1));
    // jobs: begin
    // The first puts the schedules there, and the second runs the jobs of those that are due.
    app.run_due_jobs().await;
    app.advance(time::Duration::hours(1));
    app.run_due_jobs().await;
    // jobs: end
    let registry = app.app.registry.clone();
    let tasks = app.start_tasks();
    // jobs: begin
    while registry
        .gather()
        .iter()
        .all(|family| family.name() != "jobs_pending")
    {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // jobs: end
    tasks.stop().await;

    let mut text = METRICS_INTRODUCTION.to_owned();
    for family in registry.gather() {
        let labels = label_names(&family).into_iter().collect::<Vec<_>>();
        let labels = labels.join(", ");
        let (name, kind, help) = (family.name(), kind_of(&family), family.help());
        writeln!(text, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }

    assert_current(METRICS, &text);
}

/// Fails when a file is not what the program would write. With `REWRITE` in the environment it writes the file.
#[track_caller]
fn assert_current(path: &str, text: &str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "rewriting is asked for on the command line"
    )]
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    let differs = written
        .lines()
        .zip(text.lines())
        .find(|(is, expected)| is != expected);
    assert!(
        written == text,
        "{path} is not current: {differs:#?}\nwrite it anew: REWRITE=1 cargo test --test api reference"
    );
}

const SETTINGS_INTRODUCTION: &str = "# Settings

From the environment, `.env` in the current folder, or the TOML file named by `CONFIG_FILE`; the first that says
something wins. `warp-skeleton config` shows what is in force and where it came from. Switches take
`on`, `off`, `true`, `false`, `1` or `0`; times in `_MS` are milliseconds. A secret is redacted wherever it would be shown,
and may come from a file instead: `NAME_FILE=/path`.

Written by the program: `REWRITE=1 cargo test --test api reference`.
";

#[test]
fn the_reference_of_settings_is_current() {
    let mut text = SETTINGS_INTRODUCTION.to_owned();
    for section in catalogue().sections() {
        let head = "| name | default | what it is for |\n| --- | --- | --- |";
        writeln!(text, "\n## {}\n\n{head}", section.title).unwrap();
        for setting in &section.settings {
            writeln!(text, "{}", row_of(setting)).unwrap();
        }
    }
    assert_current(SETTINGS, &text);
}

fn row_of(setting: &Declaration) -> String {
    let shown = |value: &str| match value {
        "" => "unset".to_owned(),
        value => format!("`{value}`"),
    };
    let secret = if setting.secret { ", secret" } else { "" };
    let default = shown(setting.default);
    let stricter = setting.production.map(shown);
    let stricter = stricter.map_or(String::new(), |value| format!("; {value} in production"));
    let about = setting.about.replace('|', "\\|");
    format!(
        "| `{}`{secret} | {default}{stricter} | {about} |",
        setting.name
    )
}

fn label_names(family: &MetricFamily) -> BTreeSet<String> {
    let labels = family.get_metric().iter().flat_map(Metric::get_label);
    labels.map(|label| format!("`{}`", label.name())).collect()
}

fn kind_of(family: &MetricFamily) -> &'static str {
    match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        _ => "other",
    }
}
