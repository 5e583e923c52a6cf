//! A claim costs the same whatever else the table holds.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Note, enqueue, state_of};
use crate::{
    operations::statements::{prepare, statements},
    support::{TestApp, until},
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

const CLAIM: &str = "jobs_claim (0, '{0,0,1,1,2,2}', '{test.note,test.other,test.note,test.other,test.note,test.other}', 4, 'me', 30)";

async fn read_by(database: &Client, call: &str) -> (f64, Value) {
    let sql = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {call}");
    let answer = database.simple_query(&sql).await.unwrap();
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan: Value = serde_json::from_str(&rows.collect::<String>()).unwrap();
    (rows_read(&plan[0]["Plan"]), plan)
}

/// Prepares these statements in a session like that of the worker's own connection.
async fn prepare_as_a_worker(database: &Client, names: &[&str]) {
    let session = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan";
    database.batch_execute(session).await.unwrap();
    for statement in statements() {
        if names.contains(&statement.name.as_str()) {
            prepare(database, &statement).await;
        }
    }
}

#[tokio::test]
async fn a_claim_reads_the_rows_it_takes_whatever_else_there_is() {
    let app = TestApp::start().await;
    let database = app.database().await;
    // With a plan that was made beside an empty table and is kept.
    prepare_as_a_worker(&database, &["jobs_claim"]).await;
    let (read, _) = read_by(&database, CLAIM).await;
    assert!(read < 1.0);
    fill(&database).await;

    for _ in 0..2 {
        let (read, plan) = read_by(&database, CLAIM).await;

        // Each is found by one index, and changed by another.
        assert!(read <= 8.0, "{read}: {plan:#}");
    }
    let left = "SELECT count(*) FROM jobs WHERE state = 'queued' AND priority = 1";
    assert_eq!(app.count(left).await, 2);
}

/// Jobs that run, ten for each that somebody asks about: its id with the claim 1.
const RUNNING: &str = "
INSERT INTO jobs (
    id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, created_at, worker, lease_until
)
SELECT uuid(lpad(number::text, 32, '0')), 'test.note', '{}', now(), 1, 'running', 0, 10, 0, 1, now(), 'another', now()
FROM generate_series(1, 1000) AS number;";

#[tokio::test]
async fn the_end_of_a_run_reads_the_rows_it_writes_however_many_others_run() {
    let app = TestApp::start().await;
    let ids = (1..=10).map(|number| format!("{:032}", number * 100));
    let ids = ids.collect::<Vec<_>>().join(",");
    let ones = ["1"; 10].join(",");
    let calls = [
        (
            "jobs_renew_leases",
            format!("(30, '{{{ids}}}', '{{{ones}}}')"),
        ),
        (
            "jobs_put_back",
            format!(
                "(0, '{{{ids}}}', '{{{ones}}}', '{{{}}}', '{{{ones}}}')",
                ["why"; 10].join(","),
            ),
        ),
        ("jobs_finish", format!("('{{{ids}}}', '{{{ones}}}')")),
    ];

    // Whether the plan was made beside an empty table, or from statistics that know of waiting jobs alone.
    for is_crowded in [false, true] {
        for (name, arguments) in &calls {
            let database = app.database().await;
            database.batch_execute("TRUNCATE jobs").await.unwrap();
            if is_crowded {
                fill(&database).await;
            }
            prepare_as_a_worker(&database, &[name]).await;
            let call = format!("{name} {arguments}");
            assert!(read_by(&database, &call).await.0 < 1.0, "{name}");
            database.batch_execute(RUNNING).await.unwrap();

            let (read, plan) = read_by(&database, &call).await;

            assert!((10.0..=20.0).contains(&read), "{name}: {read}: {plan:#}");
        }
    }
}

/// Remembers in a table how often the session of each change of a job planned the claim for its parameters alone.
const WATCH_PLANS: &str = "
CREATE TABLE plans (generic bigint, custom bigint);
CREATE FUNCTION watch_plans() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO plans
    SELECT generic_plans, custom_plans
    FROM pg_prepared_statements
    WHERE statement LIKE '%AS probe%';
    RETURN NULL;
END $$;
GRANT INSERT ON plans TO PUBLIC;
CREATE TRIGGER watch_plans AFTER UPDATE ON jobs EXECUTE FUNCTION watch_plans();";

#[tokio::test]
async fn a_worker_does_not_plan_each_claim_again() {
    let mut app = TestApp::start().await;
    app.app.handlers.register(|_: Note, _| async { Ok(()) });
    let database = app.database().await;
    fill(&database).await;
    database.batch_execute(WATCH_PLANS).await.unwrap();
    let mut worker = app.app.jobs.worker(app.app.handlers.clone());

    for _ in 0..10 {
        worker.run_due().await.unwrap();
    }

    let planned = "SELECT max(generic) >= 10, max(custom) FROM plans";
    let row = database.query_one(planned, &[]).await.unwrap();
    let (is_reused, again): (bool, i64) = (row.get(0), row.get(1));
    assert_eq!((is_reused, again), (true, 0));
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
    until("a look by an index", async || {
        let row = database.query_one(scans, &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>("seq_scan"), 0);
        row.get::<_, i64>("idx_scan") > 0
    })
    .await;
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
