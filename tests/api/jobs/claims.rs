//! A claim costs the same whatever else the table holds.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Note, enqueue, state_of};
use crate::{
    operations::statements::{prepare, statements},
    support::TestApp,
};

/// Dead rows, rows of the future of a better priority, and rows of a kind that nobody here knows, before ten that are due.
async fn fill(database: &Client) {
    let rows = "
INSERT INTO jobs (
    id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, created_at, died_at
)
SELECT gen_random_uuid(), kind, '{}', now() + due, priority, state, 0, 10, 0, 0, now(),
       CASE state WHEN 'dead' THEN now() END
FROM generate_series(1, 30000),
     (VALUES
        ('test.note', interval '-1 hour', 0, 'dead'),
        ('test.note', interval '1 hour', 0, 'queued'),
        ('test.unknown', interval '-1 hour', 0, 'queued')
     ) AS rows (kind, due, priority, state);
INSERT INTO jobs (id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, created_at)
SELECT gen_random_uuid(), 'test.note', '{}', now() - interval '1 minute', 1, 'queued', 0, 10, 0, 0, now()
FROM generate_series(1, 10);
ANALYZE jobs;";
    database.batch_execute(rows).await.unwrap();
}

/// The rows of the table that a plan reads, those that it throws away included.
fn rows_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or_default();
    let discarded = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let own = (number("Actual Rows") + discarded) * number("Actual Loops");
    let is_scan = f64::from(u8::from(
        plan["Relation Name"] == "jobs" && plan["Node Type"] != "ModifyTable",
    ));
    let below = plan["Plans"].as_array().into_iter().flatten();
    is_scan * own + below.map(rows_read).sum::<f64>()
}

async fn read_by_a_claim(database: &Client) -> (f64, Value) {
    let sql = "
EXPLAIN (ANALYZE, FORMAT JSON)
EXECUTE jobs_claim (0, '{0,0,1,1,2,2}', '{test.note,test.other,test.note,test.other,test.note,test.other}', 4, 'me', 30)";
    let answer = database.simple_query(sql).await.unwrap();
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan: Value = serde_json::from_str(&rows.collect::<String>()).unwrap();
    (rows_read(&plan[0]["Plan"]), plan)
}

#[tokio::test]
async fn a_claim_reads_the_rows_it_takes_whatever_else_there_is() {
    let app = TestApp::start().await;
    let database = app.database().await;
    // As the worker's own connection, with a plan that was made beside an empty table and is kept.
    let session = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan";
    database.batch_execute(session).await.unwrap();
    let all = statements();
    let claim = all.iter().find(|found| found.name == "jobs_claim");
    prepare(&database, claim.unwrap()).await;
    let (read, _) = read_by_a_claim(&database).await;
    assert!(read < 1.0);
    fill(&database).await;

    for _ in 0..2 {
        let (read, plan) = read_by_a_claim(&database).await;

        // Each is found by one index, and changed by another.
        assert!(read <= 8.0, "{read}: {plan:#}");
    }
    let left = "SELECT count(*) FROM jobs WHERE state = 'queued' AND priority = 1";
    assert_eq!(app.count(left).await, 2);
}

#[tokio::test]
async fn a_worker_looks_by_index_also_where_reading_the_whole_table_seems_cheaper() {
    let mut app = TestApp::start().await;
    app.app.handlers.register(|_: Note, _| async { Ok(()) });
    let database = app.database().await;
    database.batch_execute("VACUUM ANALYZE jobs").await.unwrap();
    let mut worker = app.app.jobs.worker(app.app.handlers.clone());

    // More often than it takes PostgreSQL to settle for a plan.
    for _ in 0..10 {
        assert_eq!(worker.run_due().await.unwrap().len(), 0);
    }

    drop(worker);
    let scans = "SELECT idx_scan, seq_scan FROM pg_stat_user_tables WHERE relname = 'jobs'";
    loop {
        let row = database.query_one(scans, &[]).await.unwrap();
        let (by_index, whole): (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(whole, 0);
        if by_index > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_commit_in_this_process_wakes_its_worker() {
    let mut app = TestApp::with(&[("JOBS_POLL_MS", "3600000")]).await;
    app.app.handlers.register(|_: Note, _| async { Ok(()) });
    let (jobs, first) = (
        app.app.jobs.clone(),
        enqueue(&app, &Note::saying("first")).await,
    );
    let tasks = app.start_tasks();
    let gone = async |id| {
        while state_of(&app, id).await != "gone" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, gone(first)).await.unwrap();

    let second = enqueue(&app, &Note::saying("second")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        state_of(&app, second).await,
        "queued 0/0",
        "nobody polls yet"
    );
    jobs.wake();

    tokio::time::timeout(patience, gone(second)).await.unwrap();
    tasks.stop().await;
}
