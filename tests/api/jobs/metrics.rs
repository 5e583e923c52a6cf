//! What is measured of jobs.

use std::time::Duration;

use prometheus::Registry;

use crate::support::TestApp;

/// The value of a series, once the family has one.
fn value_of(registry: &Registry, family: &str, state: Option<&str>) -> Option<f64> {
    let families = registry.gather();
    let family = families.iter().find(|found| found.name() == family)?;
    let series = family.get_metric().iter().find(|series| {
        let labels = series.get_label();
        state.is_none_or(|state| labels.iter().any(|label| label.value() == state))
    });
    Some(series?.get_gauge().get_value())
}

#[tokio::test]
async fn the_gauges_show_what_waits_also_where_nobody_runs_it() {
    let mut app = TestApp::with(&[("JOBS_CONCURRENCY", "0")]).await;
    let rows = "
INSERT INTO jobs (
    id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, created_at, died_at
)
SELECT gen_random_uuid(), kind, '{}', now() + due, priority, state, 0, 10, 0, 0, now(),
       CASE state WHEN 'dead' THEN now() END
FROM (VALUES
    ('test.b', interval '-1 minute', 2, 'queued'),
    ('test.b', interval '-50 seconds', 0, 'queued'),
    ('test.a', interval '1 hour', 1, 'queued'),
    ('test.c', interval '-1 hour', 1, 'dead')
) AS rows (kind, due, priority, state)";
    app.database().await.execute(rows, &[]).await.unwrap();
    let registry = app.app.registry.clone();

    let tasks = app.start_tasks();

    while value_of(&registry, "jobs_pending", Some("queued")).is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tasks.stop().await;
    for (state, count) in [("queued", 3.0), ("running", 0.0), ("dead", 1.0)] {
        assert_eq!(
            value_of(&registry, "jobs_pending", Some(state)),
            Some(count)
        );
    }
    let oldest = value_of(&registry, "jobs_oldest_due_seconds", None).unwrap();
    assert!((60.0..90.0).contains(&oldest), "{oldest}");
}
