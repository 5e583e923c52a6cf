//! `jobs`: what an operator sees and does.

use super::Queue;
use crate::support::{complaint, eventually, printed, run};

impl Queue {
    fn command(&self, arguments: &[&str]) -> String {
        printed(&run(&self.url, &[], &[&["jobs"], arguments].concat(), ""))
    }

    fn refused(&self, arguments: &[&str]) -> String {
        complaint(&run(&self.url, &[], &[&["jobs"], arguments].concat(), ""))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_failed_and_has_it_tried_again_or_removed() {
    let queue = Queue::new().await;
    let service = queue.serve();
    let dead = queue.add_one("test.fail", "dead").await.to_string();
    for attempt in 1..=3 {
        let failed =
            format!("SELECT count(*) FROM jobs WHERE kind = 'test.fail' AND attempt = {attempt}");
        queue.until("failures", &failed, 1);
        queue.hurry().await;
    }
    drop(service);
    let waiting = queue.add_one("test.effect", "waiting").await.to_string();
    let trace =
        "UPDATE jobs SET traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'";
    queue.database.execute(trace, &[]).await.unwrap();

    let all = queue.command(&["list"]);
    let lines: Vec<_> = all.lines().collect();
    let head: Vec<_> = lines[0].split_whitespace().collect();
    assert_eq!(
        head,
        [
            "ID", "KIND", "STATE", "FAILED", "LOST", "AGE", "DUE_IN", "TRACE_ID", "ERROR"
        ]
    );
    let line = lines.iter().find(|line| line.starts_with(&dead)).unwrap();
    for part in [
        "test.fail",
        "dead",
        "3/3",
        "0af7651916cd43dd8448eb211c80319c",
        "it fails on purpose",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(lines.iter().any(|line| line.starts_with(&waiting)));
    let one = queue.command(&["list", "--state", "dead", "--kind", "test.fail"]);
    assert_eq!(one.lines().count(), 2, "{one}");

    let shown = queue.command(&["show", &dead]);
    for (name, value) in [
        ("state", "dead"),
        ("last_error", "it fails on purpose"),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
        ("attempt", "3"),
    ] {
        let expected = format!("{name:14} {value}");
        assert!(
            shown.lines().any(|line| line == expected),
            "{expected}: {shown}"
        );
    }

    queue.command(&["retry", &dead]);
    let id = dead.parse().unwrap();
    assert_eq!(queue.state(id).await, "queued 0/0");
    queue.command(&["cancel", &dead]);
    assert_eq!(queue.state(id).await, "gone");
    for command in ["show", "retry", "cancel"] {
        let refusal = queue.refused(&[command, &dead]);
        assert!(
            refusal.contains(&format!("there is no job {dead}")),
            "{refusal}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_are_purged_by_age_and_kind() {
    let queue = Queue::new().await;
    let sql = "
INSERT INTO jobs (id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, created_at, died_at)
SELECT gen_random_uuid(), 'kind' || number % 2, '{}', now(), 1, 'dead', 1, 1, 0, 0, now(),
       now() - CASE WHEN number < 3000 THEN interval '31 days' ELSE interval '1 day' END
FROM generate_series(0, 3999) AS number";
    queue.database.execute(sql, &[]).await.unwrap();

    assert_eq!(
        queue.command(&["purge", "--kind", "kind0"]),
        "removed 1500 dead jobs\n"
    );
    assert_eq!(queue.command(&["purge"]), "removed 1500 dead jobs\n");
    assert_eq!(
        queue.command(&["purge", "--days", "0"]),
        "removed 1000 dead jobs\n"
    );
    assert_eq!(queue.count("SELECT count(*) FROM jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_of_a_kind_are_tried_again_together() {
    let queue = Queue::new().await;
    let sql = "
INSERT INTO jobs (
    id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, unique_key, created_at, died_at
)
SELECT gen_random_uuid(), 'kind' || number % 2, '{}', now(), 1, 'dead', 3, 3, 1, 3,
       CASE WHEN number < 4 THEN 'key' END, now(), now()
FROM generate_series(0, 2999) AS number";
    queue.database.execute(sql, &[]).await.unwrap();

    let said = queue.command(&["retry", "--kind", "kind0"]);

    // Two of them have one key.
    let expected = "1499 jobs of the kind kind0 are due\n\
        1 stay dead, because another with their key waits or runs\n";
    assert_eq!(said, expected);
    let due = "SELECT count(*) FROM jobs WHERE state = 'queued' AND kind = 'kind0' AND attempt = 0";
    assert_eq!(queue.count(due).await, 1499);
    let dead = "SELECT count(*) FROM jobs WHERE state = 'dead' AND kind = 'kind1'";
    assert_eq!(queue.count(dead).await, 1500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_while_it_runs_is_cut_off() {
    let queue = Queue::new().await;
    let service = queue.serve();
    let id = queue.add_one("test.sleep", "cancelled").await;
    queue.until_effects("cancelled", 1);
    let refusal = queue.refused(&["retry", &id.to_string()]);
    assert!(
        refusal.contains("one that runs is not retried"),
        "{refusal}"
    );

    queue.command(&["cancel", &id.to_string()]);

    eventually("its end", || {
        (super::ends_of(&service, id) == ["lost"]).then_some(())
    });
}
