//! Where jobs run, how that begins and ends, and what is seen of it.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Queue, ends_of};
use crate::{
    collector::Collector,
    support::{Service, ask, eventually, printed, run},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_runs_jobs_and_answers_operators_and_nobody_else() {
    let queue = Queue::new().await;
    let mut worker = queue.start("worker", &[("ADMIN_PORT", "0")]);
    let id = queue.add_one("test.effect", "alone").await;

    queue.until_effects("alone", 1);

    let port = worker.port_for("admin");
    for path in ["/live", "/ready", "/health", "/metrics"] {
        assert_eq!(ask(port, "GET", path, &[], "").status, 200, "{path}");
    }
    let admin = port.to_string();
    let settings = [("PORT", "1"), ("ADMIN_PORT", admin.as_str())];
    let alive = run(&queue.url, &settings, &["healthcheck"], "");
    assert_eq!(printed(&alive), "alive\n");
    for path in ["/auth/me", "/openapi.json"] {
        assert_eq!(ask(port, "GET", path, &[], "").status, 404, "{path}");
    }
    let purposes: Vec<_> = worker
        .lines()
        .into_iter()
        .filter(|line| line["message"] == "listening")
        .map(|line| line["purpose"].clone())
        .collect();
    assert_eq!(purposes, ["admin"]);
    eventually("its end", || {
        (ends_of(&worker, id) == ["succeeded"]).then_some(())
    });
    worker.signal("TERM");
    assert_eq!(worker.ended().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_concurrency_of_zero_nothing_runs_and_a_worker_refuses() {
    let queue = Queue::new().await;
    let none = [("JOBS_CONCURRENCY", "0")];
    let service = queue.start("serve", &none);
    let id = queue.add_one("test.effect", "nobody").await;

    let refused = run(&queue.url, &none, &["worker"], "");
    let said = String::from_utf8(refused.stdout).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("JOBS_CONCURRENCY=0"), "{said}");

    // What waits is seen all the same.
    eventually("the sample", || {
        let metrics = service.get("/metrics").body;
        metrics
            .contains("jobs_pending{state=\"queued\"}")
            .then_some(())
    });
    let other = queue.serve();
    queue.until_effects("nobody", 1);
    eventually("its end", || {
        (ends_of(&other, id) == ["succeeded"]).then_some(())
    });
    assert_eq!(ends_of(&service, id).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_jobs_end_and_puts_back_what_does_not_without_counting_it() {
    let queue = Queue::new().await;
    let limits = [
        ("SHUTDOWN_TIMEOUT_MS", "8000"),
        ("JOBS_LEASE_SECONDS", "60"),
    ];
    let mut service = queue.start("serve", &limits);
    let slow = queue.add_one("test.slow", "slow").await;
    let sleep = queue.add_one("test.sleep", "sleep").await;
    queue.until_effects("slow", 1);
    queue.until_effects("sleep", 1);

    service.signal("TERM");
    service.await_line("stopping");
    let late = queue.add_one("test.effect", "late").await;

    assert_eq!(service.ended().code(), Some(0));
    assert_eq!(queue.state(slow).await, "gone");
    assert_eq!(queue.effects("end of slow").await, 1);
    assert_eq!(queue.state(sleep).await, "queued 0/0");
    assert_eq!(queue.state(late).await, "queued 0/0");
    assert_eq!(ends_of(&service, sleep), ["released"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_with_nothing_to_do_takes_no_time() {
    let queue = Queue::new().await;
    let mut service = queue.serve();
    let asked = Instant::now();

    service.signal("TERM");

    assert_eq!(service.ended().code(), Some(0));
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_ticks_once_for_all_replicas() {
    let queue = Queue::new().await;
    let started = Instant::now();
    let services = [queue.serve(), queue.serve(), queue.serve()];

    let enough = "SELECT (count(*) >= 8)::int::bigint FROM effects WHERE key = 'tick'";
    queue.until("ticks", enough, 1);

    drop(services);
    let ticks = queue.effects("tick").await;
    let most = i64::try_from(started.elapsed().as_secs()).unwrap() + 2;
    assert!(ticks <= most, "{ticks} in {most} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_a_trace_of_its_own_that_links_to_the_one_it_comes_from() {
    let queue = Queue::new().await;
    let collector = Collector::start();
    let endpoint = collector.endpoint();
    let service = queue.start(
        "serve",
        &[
            ("OTLP_ENDPOINT", &endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ],
    );
    queue.add_one("test.parent", "parent").await;
    queue.until_effects("child of parent", 1);

    let span_of = |kind: &str| {
        eventually(kind, || {
            let spans = collector.spans().into_iter();
            spans.into_iter().find(|span| span.name == kind)
        })
    };
    let (parent, child) = (span_of("test.parent"), span_of("test.effect"));

    assert_eq!(parent.links.len(), 0);
    assert_eq!(child.links.len(), 1);
    let link = &child.links[0];
    assert_eq!(link.trace_id, parent.trace_id);
    assert_ne!(child.trace_id, parent.trace_id);
    assert_eq!(child.parent_span_id.len(), 0);
    // It was enqueued inside the parent, by a statement of it or in its own span.
    let inside = collector.spans().into_iter();
    let mut inside = inside.filter(|span| span.trace_id == parent.trace_id);
    assert!(inside.any(|span| span.span_id == link.span_id));
    let traced: Vec<_> = service.lines().into_iter().filter(is_run).collect();
    assert_ne!(traced.len(), 0);
}

fn is_run(line: &Value) -> bool {
    line["message"] == "job_completed" && line["trace_id"].is_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_a_process_does_not_know_waits_for_one_that_does() {
    let queue = Queue::new().await;
    let old = Service::start(&queue.url, &super::IMPATIENT);
    let id = queue.add_one("test.effect", "newer").await;
    let polls =
        "SELECT (sum(n_tup_upd) >= 0)::int::bigint FROM pg_stat_user_tables WHERE relname = 'jobs'";
    queue.until("statistics", polls, 1);

    let new = queue.serve();

    queue.until_effects("newer", 1);
    eventually("its end", || {
        (ends_of(&new, id) == ["succeeded"]).then_some(())
    });
    assert_eq!(ends_of(&old, id).len(), 0);
}
