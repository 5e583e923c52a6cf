//! Processes are killed, stopped and cut off, and PostgreSQL goes away.

use std::time::{Duration, Instant};

use super::{Queue, ends_of};
use crate::{
    faults::{DURABLE, Server, fill},
    support::{Service, eventually, printed, run},
};

/// Lease and poll of these tests, and time for a busy machine.
const RECOVERY: Duration = Duration::from_millis(2000 + 240 + 3000);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_ran_runs_again_within_lease_and_poll() {
    let queue = Queue::new().await;
    let first = queue.serve();
    let id = queue.add_one("test.sleep", "killed").await;
    queue.until_effects("killed", 1);
    let second = queue.serve();

    first.signal("KILL");

    let killed = Instant::now();
    queue.until_effects("killed", 2);
    assert!(killed.elapsed() < RECOVERY, "{:?}", killed.elapsed());
    assert_eq!(queue.state(id).await, "running 0/1");
    second.await_line("job_lease_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_process_ends_too_late_is_refused() {
    let queue = Queue::new().await;
    let first = queue.serve();
    let id = queue.add_one("test.slow", "stopped").await;
    queue.until_effects("stopped", 1);

    first.signal("STOP");
    let second = queue.serve();
    queue.until_effects("stopped", 2);
    first.signal("CONT");

    eventually("the refusal", || {
        (ends_of(&first, id) == ["lost"]).then_some(())
    });
    eventually("its end", || {
        (ends_of(&second, id) == ["succeeded"]).then_some(())
    });
    assert_eq!(queue.state(id).await, "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_end_is_refused_also_when_the_same_process_has_claimed_the_job_again() {
    let queue = Queue::new().await;
    let only = queue.serve();
    let id = queue.add_one("test.slow", "again").await;
    queue.until_effects("again", 1);
    only.signal("STOP");
    // It does not know the kind: it puts the job back, and cannot run it.
    let other = Service::start(&queue.url, &super::IMPATIENT);
    other.await_line("job_lease_expired");
    assert_eq!(queue.state(id).await, "queued 0/1");

    only.signal("CONT");

    eventually("both ends", || {
        let mut ends = ends_of(&only, id);
        ends.sort();
        (ends == ["lost", "succeeded"]).then_some(())
    });
    assert_eq!(queue.state(id).await, "gone");
    assert_eq!(queue.effects("again").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_jobs_over_three_replicas_have_their_effect_once_each() {
    let queue = Queue::new().await;
    let services = [queue.serve(), queue.serve(), queue.start("worker", &[])];
    let keys: Vec<_> = (0..10_000)
        .map(|number| format!("effect {number}"))
        .collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();

    queue.add("test.effect", &keys).await;

    queue.until_done();
    let effects = "SELECT count(*) FROM effects WHERE key LIKE 'effect %'";
    let different = "SELECT count(DISTINCT key) FROM effects WHERE key LIKE 'effect %'";
    assert_eq!(queue.count(effects).await, 10_000);
    assert_eq!(queue.count(different).await, 10_000);
    for service in services {
        service.await_line("job_completed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_dead_after_its_attempts_and_hinders_nobody() {
    let queue = Queue::new().await;
    let service = queue.serve();
    let fails = queue.add_one("test.fail", "fails").await;
    let panics = queue.add_one("test.panic", "panics").await;
    let hangs = queue.add_one("test.hang", "hangs").await;
    let unreadable = "
INSERT INTO jobs (id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, created_at)
VALUES (gen_random_uuid(), 'test.effect', '[]', now(), 0, 'queued', 0, 3, 0, 0, now())";
    queue.database.execute(unreadable, &[]).await.unwrap();

    for attempt in 1..=3 {
        let failed =
            format!("SELECT count(*) FROM jobs WHERE kind LIKE 'test.%' AND attempt = {attempt}");
        queue.add_one("test.effect", "healthy").await;
        queue.until("failures", &failed, 4);
        queue.hurry().await;
    }

    queue.until_done();
    for id in [fails, panics, hangs] {
        assert_eq!(queue.state(id).await, "dead 3/0");
    }
    assert_eq!(queue.effects("healthy").await, 3);
    assert_eq!(queue.effects("hangs").await, 3);
    assert_eq!(service.get("/ready").status, 200);
    let metrics = service.get("/metrics").body;
    assert!(
        metrics.contains("jobs_total{kind=\"test.fail\",outcome=\"dead\"} 1"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_its_process_is_dead_after_its_losses() {
    let queue = Queue::new().await;
    let id = queue.add_one("test.abort", "abort").await;

    for run in 1..=3 {
        let mut service = queue.start("worker", &[("JOBS_MAX_LOSSES", "2")]);
        assert!(!service.ended().success());
        assert_eq!(queue.effects("abort").await, run);
        let expired = "SELECT count(*) FROM jobs WHERE state = 'running' AND lease_until > now()";
        queue.until("the end of the lease", expired, 0);
    }
    let service = queue.start("worker", &[("JOBS_MAX_LOSSES", "2")]);

    service.await_line("job_lease_expired");
    assert_eq!(queue.state(id).await, "dead 0/3");
    assert_eq!(queue.effects("abort").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_longer_than_a_lease_takes_nothing_from_those_who_live() {
    let mut server = Server::start();
    let queue = Queue::at(server.url.clone()).await;
    let services = [queue.serve(), queue.serve()];
    let keys: Vec<_> = (0..8).map(|number| format!("quiet {number}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    queue.add("test.quiet", &keys).await;
    queue.until(
        "begun",
        "SELECT count(*) FROM effects WHERE key <> 'tick'",
        8,
    );

    server.order("kill");
    // The leases are over before it is back.
    std::thread::sleep(Duration::from_secs(3));
    for service in &services {
        service.await_line("job_heartbeat_failed");
        assert_eq!(service.get("/live").status, 200);
    }
    server.order("start");

    let queue = queue.again().await;
    queue.add_one("test.effect", "afterwards").await;
    queue.until_done();
    for key in keys.iter().chain(&["afterwards"]) {
        assert_eq!(queue.effects(key).await, 1, "{key}");
    }
    for service in &services {
        let lines = service.lines();
        let taken = lines
            .iter()
            .filter(|line| line["message"] == "job_lease_expired");
        assert_eq!(taken.count(), 0, "{lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_jobs_wait_and_the_service_answers() {
    let small = [
        "--size",
        "160m",
        "min_wal_size=32MB",
        "max_wal_size=32MB",
        DURABLE,
    ];
    let Some(mut server) = Server::with(&small) else {
        println!("SKIPPED: a disk of its own for PostgreSQL takes root on Linux");
        return;
    };
    printed(&run(&server.url, &[], &["migrate", "up"], ""));
    let queue = Queue::at(server.url.clone()).await;
    let service = queue.serve();
    let filler = fill(&queue.database).await;
    // Until the room that was left is used up.
    let keys: Vec<_> = (0..500).map(|number| format!("full {number}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let mut added = 0;
    while queue.try_add("test.effect", &keys).await.is_ok() {
        added += 1;
        assert!(added < 1000, "the disk does not fill");
    }

    eventually("its complaint", || {
        let lines = service.lines();
        let said = ["job_queue_unavailable", "job_completed"];
        lines
            .iter()
            .any(|line| line["message"] == said[0] || line["outcome"] == "failed")
            .then_some(())
    });
    assert_eq!(service.get("/live").status, 200);
    std::fs::remove_file(filler).unwrap();
    // PostgreSQL may have ended, because it could not write its log.
    server.order("start");

    let queue = queue.again().await;
    queue.add_one("test.effect", "afterwards").await;
    queue.until_effects("afterwards", 1);
    assert_eq!(service.get("/live").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_tables_the_service_serves() {
    let queue = Queue::new().await;
    let service = queue.serve();
    queue
        .database
        .batch_execute("DROP TABLE jobs, job_schedules")
        .await
        .unwrap();

    let line = service.await_line("job_queue_unavailable");

    assert!(line["error"].as_str().unwrap().contains("42P01"), "{line}");
    for path in ["/live", "/ready", "/health"] {
        assert_eq!(service.get(path).status, 200, "{path}");
    }
    let someone =
        serde_json::json!({"email": "jobless@marked.example", "password": "marked-password-1"});
    assert_eq!(service.post("/auth/register", None, &someone).status, 201);
    assert_eq!(service.post("/auth/token", None, &someone).status, 200);
}
