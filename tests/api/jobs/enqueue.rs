//! A job is part of the transaction that enqueues it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use chassis_telemetry::Incoming;
use futures_util::FutureExt;
use time::Duration;
use tracing::Instrument;
use warp_skeleton::features::{
    identity::{Error, Observer, Subscribers},
    jobs::{EnqueueError, Outcome},
};

use super::{Note, enqueue, enqueue_in, state_of};
use crate::{
    identity::events::{create, with_subscribers},
    support::TestApp,
};

/// A service that counts the notes it was given.
async fn counting() -> (TestApp, Arc<AtomicU32>) {
    let mut app = TestApp::start().await;
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    app.app.handlers.register(move |_: Note, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    });
    (app, count)
}

#[tokio::test]
async fn what_is_committed_runs_once_and_is_gone() {
    let (app, count) = counting().await;
    let id = enqueue(&app, &Note::saying("a")).await;
    assert_eq!(state_of(&app, id).await, "queued 0/0");

    assert_eq!(app.run_due_jobs().await, [Outcome::Succeeded]);

    assert_eq!(count.load(Ordering::Relaxed), 1);
    assert_eq!(state_of(&app, id).await, "gone");
    assert_eq!(app.run_due_jobs().await.len(), 0);
}

#[tokio::test]
async fn what_is_rolled_back_was_never_there() {
    let (app, count) = counting().await;
    let transaction = app.app.database.begin().await.unwrap();
    let id = enqueue_in(&app, &transaction, &Note::saying("a")).await;
    assert!(id.unwrap().is_some());
    assert!(
        app.run_due_jobs().await.is_empty(),
        "it is not committed yet"
    );

    transaction.rollback().await.unwrap();

    assert_eq!(app.run_due_jobs().await.len(), 0);
    assert_eq!(count.load(Ordering::Relaxed), 0);
    assert_eq!(app.count("SELECT count(*) FROM jobs").await, 0);
}

#[tokio::test]
async fn a_delayed_job_waits_for_its_time() {
    let (app, _) = counting().await;
    let transaction = app.app.database.begin().await.unwrap();
    let delay = std::time::Duration::from_mins(10);
    let jobs = &app.app.jobs;
    let id = jobs
        .enqueue_in(&transaction, &Note::saying("a"), delay)
        .await;
    transaction.commit().await.unwrap();
    assert!(id.unwrap().is_some());

    app.advance(Duration::minutes(9));
    assert_eq!(app.run_due_jobs().await.len(), 0);

    app.advance(Duration::minutes(2));
    assert_eq!(app.run_due_jobs().await, [Outcome::Succeeded]);
}

#[tokio::test]
async fn at_most_one_of_a_key_waits_or_runs() {
    let (app, count) = counting().await;
    let keyed = |key: &str| Note {
        text: "a".to_owned(),
        key: Some(key.to_owned()),
    };
    enqueue(&app, &keyed("one")).await;
    enqueue(&app, &keyed("two")).await;

    let transaction = app.app.database.begin().await.unwrap();
    let again = enqueue_in(&app, &transaction, &keyed("one")).await;
    assert!(again.unwrap().is_none());
    transaction.commit().await.unwrap();

    app.run_due_jobs().await;
    assert_eq!(count.load(Ordering::Relaxed), 2);
    // The one before is done, so there may be another.
    enqueue(&app, &keyed("one")).await;
}

#[tokio::test]
async fn a_payload_is_8_kib_at_most_and_the_error_names_the_kind() {
    let (app, _) = counting().await;
    enqueue(&app, &Note::saying(&"a".repeat(8100))).await;

    for text in ["a".repeat(8193), "\",".repeat(4000)] {
        let transaction = app.app.database.begin().await.unwrap();
        let outcome = enqueue_in(&app, &transaction, &Note::saying(&text)).await;

        let error = outcome.unwrap_err();
        assert!(matches!(error, EnqueueError::TooLong { .. }), "{error:?}");
        assert!(error.to_string().contains("test.note"));
    }
}

/// What is enqueued for each new account, inside its transaction, which then fails or does not.
fn subscribers(app: &TestApp, fails: bool) -> Subscribers {
    let (jobs, woken) = (app.app.jobs.clone(), app.app.jobs.clone());
    let observe: Observer = Arc::new(move |transaction, event| {
        let jobs = jobs.clone();
        async move {
            let note = Note::saying(&event.change.user().to_string());
            let enqueued = jobs.enqueue(transaction, &note).await;
            assert!(enqueued.unwrap().is_some());
            if fails { Err(Error::NotFound) } else { Ok(()) }
        }
        .boxed()
    });
    Subscribers {
        observe: Arc::new([observe]),
        committed: Arc::new([Arc::new(move |_: &_| woken.wake())]),
    }
}

#[tokio::test]
async fn an_observer_of_events_enqueues_in_the_transaction_of_what_happened() {
    let (app, count) = counting().await;

    let failing = with_subscribers(&app, subscribers(&app, true));
    assert!(create(&failing).await.is_err());
    assert_eq!(app.run_due_jobs().await.len(), 0);

    let working = with_subscribers(&app, subscribers(&app, false));
    create(&working).await.unwrap();
    assert_eq!(app.run_due_jobs().await, [Outcome::Succeeded]);
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_job_knows_the_request_and_the_trace_it_comes_from() {
    let (app, _) = counting().await;
    let mut head = http::Request::new(()).into_parts().0;
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    head.headers.insert("traceparent", caller.parse().unwrap());
    let span = app.app.tracing.request(Incoming {
        method: "POST",
        template: "/notes",
        correlation_id: "enqueued-by-this",
        client_ip: None,
        head: &head,
    });

    let id = enqueue(&app, &Note::saying("a")).instrument(span).await;

    let sql = "SELECT correlation_id || ' ' || traceparent FROM jobs WHERE id = $1";
    let found: String = app.value(sql, &[id.as_uuid()]).await;
    // Not recorded here, so the caller's own span is what there is to link to.
    assert_eq!(found, format!("enqueued-by-this {caller}"));
    app.run_due_jobs().await;
    let lines = crate::support::leaks::lines_of("enqueued-by-this");
    let run = lines.iter().find(|line| line["message"] == "job_completed");
    let run = run.unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!(run["outcome"], "succeeded");
    assert_eq!(run["task"], "test.note");
    assert_eq!(run["job_id"], id.to_string());
    assert_eq!(run["attempt"], 1);
}
