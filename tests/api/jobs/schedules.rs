//! Schedules enqueue once for all replicas.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration as StdDuration,
};

use time::Duration;
use warp_skeleton::features::jobs::Rule;

use super::Note;
use crate::support::TestApp;

/// A service that counts the notes of a schedule of this rule.
fn scheduled(mut app: TestApp, rule: Rule, count: &Arc<AtomicU32>) -> TestApp {
    let count = Arc::clone(count);
    app.app.handlers.register(move |_: Note, _| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    });
    app.app
        .handlers
        .schedule("test.notes", rule, Note::saying("a"));
    app
}

fn minutely() -> Rule {
    Rule::every(StdDuration::from_mins(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_ticks_over_three_replicas_are_a_hundred_jobs() {
    let count = Arc::default();
    let first = scheduled(TestApp::start().await, minutely(), &count);
    let (second, third) = (first.replica(), first.replica());
    let second = scheduled(second, minutely(), &count);
    let third = scheduled(third, minutely(), &count);
    first.run_due_jobs().await;
    count.store(0, Ordering::Relaxed);

    for tick in 1..=100 {
        first.advance(Duration::minutes(1));
        tokio::join!(
            first.run_due_jobs(),
            second.run_due_jobs(),
            third.run_due_jobs()
        );

        assert_eq!(count.load(Ordering::Relaxed), tick);
    }
    assert_eq!(
        first
            .count("SELECT count(*) FROM jobs WHERE kind = 'test.note'")
            .await,
        0
    );
}

#[tokio::test]
async fn missed_ticks_are_made_up_for_by_one_and_a_paused_schedule_by_none() {
    let count = Arc::default();
    let app = scheduled(TestApp::start().await, minutely(), &count);
    app.run_due_jobs().await;
    count.store(0, Ordering::Relaxed);

    app.advance(Duration::hours(5));
    app.run_due_jobs().await;
    app.run_due_jobs().await;
    assert_eq!(count.load(Ordering::Relaxed), 1);

    let pause = "UPDATE job_schedules SET paused = true WHERE name = 'test.notes'";
    app.database().await.execute(pause, &[]).await.unwrap();
    app.advance(Duration::hours(1));
    app.run_due_jobs().await;
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_next_time_is_a_whole_number_of_periods_after_the_phase() {
    let daily = Rule::every(StdDuration::from_hours(24)).at(StdDuration::from_mins(210));
    let app = scheduled(TestApp::start().await, daily, &Arc::default());

    app.run_due_jobs().await;

    let sql = "
SELECT to_char(next_run_at AT TIME ZONE 'UTC', 'HH24:MI:SS.US') || ' '
    || (next_run_at > now() AND next_run_at <= now() + interval '1 day') || ' ' || rule
FROM job_schedules
WHERE name = 'test.notes'";
    let found: String = app.value(sql, &[]).await;
    assert_eq!(found, "03:30:00.000000 true every 86400s at 12600s");
}

#[tokio::test]
async fn another_rule_counts_from_the_next_start_on() {
    let count = Arc::default();
    let hourly = Rule::every(StdDuration::from_hours(1));
    let before = scheduled(TestApp::start().await, hourly, &count);
    before.run_due_jobs().await;
    let after = scheduled(before.replica(), minutely(), &count);
    after.run_due_jobs().await;
    count.store(0, Ordering::Relaxed);

    before.advance(Duration::minutes(1));
    after.run_due_jobs().await;

    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_schedule_that_somebody_has_locked_keeps_no_job_waiting() {
    let count = Arc::default();
    let app = scheduled(TestApp::start().await, minutely(), &count);
    app.run_due_jobs().await;
    count.store(0, Ordering::Relaxed);
    app.advance(Duration::minutes(1));
    let mut database = app.database().await;
    let transaction = database.transaction().await.unwrap();
    let lock = "SELECT FROM job_schedules WHERE name = 'test.notes' FOR UPDATE";
    transaction.execute(lock, &[]).await.unwrap();

    app.run_due_jobs().await;
    assert_eq!(count.load(Ordering::Relaxed), 0);
    transaction.commit().await.unwrap();
    app.run_due_jobs().await;

    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_schedule_waits_for_no_clock_that_was_set_back() {
    let count = Arc::default();
    let app = scheduled(TestApp::start().await, minutely(), &count);
    app.run_due_jobs().await;
    count.store(0, Ordering::Relaxed);
    let ahead = "UPDATE job_schedules SET next_run_at = next_run_at + interval '10 years'";
    app.database().await.execute(ahead, &[]).await.unwrap();

    app.run_due_jobs().await;
    app.advance(Duration::minutes(1));
    app.run_due_jobs().await;

    assert_eq!(count.load(Ordering::Relaxed), 1);
}
