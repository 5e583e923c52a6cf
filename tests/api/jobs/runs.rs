//! What comes of a run.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration as StdDuration,
};

use serde::{Deserialize, Serialize};
use time::Duration;
use warp_skeleton::features::jobs::{Job, JobError, Outcome, Priority};

use super::{Note, enqueue, state_of};
use crate::support::TestApp;

/// A service whose notes fail with these words, for good or not.
async fn failing(error: fn() -> JobError) -> TestApp {
    let mut app = TestApp::start().await;
    app.app
        .handlers
        .register(move |_: Note, _| async move { Err(error()) });
    app
}

async fn last_error(app: &TestApp) -> String {
    app.value("SELECT DISTINCT last_error FROM jobs", &[]).await
}

#[tokio::test]
async fn a_failure_is_tried_again_later_each_time_and_is_dead_after_its_attempts() {
    let app = failing(|| JobError::retry("the printer is out of paper")).await;
    let id = enqueue(&app, &Note::saying("a")).await;

    assert_eq!(app.run_due_jobs().await, [Outcome::Failed]);
    assert_eq!(state_of(&app, id).await, "queued 1/0");
    assert_eq!(last_error(&app).await, "the printer is out of paper");
    // 5 s and then 10 s, a fifth less or more.
    app.advance(Duration::milliseconds(3_500));
    assert_eq!(app.run_due_jobs().await.len(), 0);
    app.advance(Duration::milliseconds(2_600));
    assert_eq!(app.run_due_jobs().await, [Outcome::Failed]);
    app.advance(Duration::milliseconds(7_500));
    assert_eq!(app.run_due_jobs().await.len(), 0);
    app.advance(Duration::milliseconds(4_600));
    assert_eq!(app.run_due_jobs().await, [Outcome::Dead]);

    assert_eq!(state_of(&app, id).await, "dead 3/0");
    app.advance(Duration::hours(2));
    assert!(!app.run_due_jobs().await.contains(&Outcome::Dead));
}

#[tokio::test]
async fn a_permanent_failure_is_dead_at_once_and_an_operator_can_have_it_tried_again() {
    let app = failing(|| JobError::permanent("nobody lives there")).await;
    let id = enqueue(&app, &Note::saying("a")).await;

    assert_eq!(app.run_due_jobs().await, [Outcome::Dead]);
    assert_eq!(state_of(&app, id).await, "dead 1/0");

    assert!(app.app.jobs.retry(id).await.unwrap());
    assert_eq!(state_of(&app, id).await, "queued 0/0");
    assert_eq!(app.run_due_jobs().await, [Outcome::Dead]);
    assert!(app.app.jobs.cancel(id).await.unwrap());
    assert_eq!(state_of(&app, id).await, "gone");
    assert!(!app.app.jobs.retry(id).await.unwrap());
}

#[tokio::test]
async fn an_error_is_kept_with_its_causes_and_cut() {
    let app = failing(|| std::io::Error::other(format!("\0{}", "é".repeat(600))).into()).await;
    enqueue(&app, &Note::saying("a")).await;

    app.run_due_jobs().await;

    let kept = last_error(&app).await;
    assert_eq!(kept.chars().count(), 500);
    assert!(kept.starts_with(" é"), "{kept}");
}

#[tokio::test]
async fn a_panic_fails_the_run_and_nothing_else() {
    let mut app = TestApp::start().await;
    app.app.handlers.register(|job: Note, _| {
        assert_ne!(job.text, "at once", "panics on purpose");
        async move {
            assert_ne!(job.text, "later", "panics on purpose");
            Ok(())
        }
    });
    for text in ["at once", "later", "not at all"] {
        enqueue(&app, &Note::saying(text)).await;
    }

    let mut ended = app.run_due_jobs().await;

    ended.sort_by_key(|outcome| *outcome != Outcome::Succeeded);
    assert_eq!(
        ended,
        [Outcome::Succeeded, Outcome::Failed, Outcome::Failed]
    );
    assert_eq!(last_error(&app).await, "the handler panicked");
}

/// Panics when it is dropped, and when it is printed.
#[derive(Debug)]
struct Brittle {
    panics_on_drop: bool,
}

impl Drop for Brittle {
    fn drop(&mut self) {
        assert!(!self.panics_on_drop, "panics on purpose");
    }
}

impl std::fmt::Display for Brittle {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("panics on purpose")
    }
}

impl std::error::Error for Brittle {}

#[tokio::test]
async fn a_panic_when_a_handler_is_dropped_or_its_error_is_printed_keeps_no_job() {
    #[derive(Serialize, Deserialize)]
    struct Short {}
    impl Job for Short {
        const KIND: &'static str = "test.short";
        const TIMEOUT: StdDuration = StdDuration::from_millis(10);
    }
    let mut app = TestApp::start().await;
    app.app.handlers.register(|_: Short, _| async {
        let _brittle = Brittle {
            panics_on_drop: true,
        };
        pending().await
    });
    app.app.handlers.register(|_: Note, _| async {
        let panics_on_drop = false;
        Err(Brittle { panics_on_drop }.into())
    });
    enqueue(&app, &Short {}).await;
    enqueue(&app, &Note::saying("a")).await;

    let ended = app.run_due_jobs().await;

    assert_eq!(ended, [Outcome::Failed, Outcome::Failed]);
}

#[tokio::test]
async fn a_kind_waits_no_longer_than_it_says() {
    #[derive(Serialize, Deserialize)]
    struct Eager {}
    impl Job for Eager {
        const KIND: &'static str = "test.eager";
        const LONGEST_WAIT: StdDuration = StdDuration::from_secs(10);
    }
    let mut app = TestApp::start().await;
    app.app
        .handlers
        .register(|_: Eager, _| async { Err(JobError::retry("not yet")) });
    enqueue(&app, &Eager {}).await;

    for _ in 0..5 {
        assert_eq!(app.run_due_jobs().await, [Outcome::Failed]);
        app.advance(Duration::seconds(12));
    }
}

#[tokio::test]
async fn a_payload_that_cannot_be_decoded_is_a_failed_attempt_of_that_replica() {
    /// What a newer release calls by the same name.
    #[derive(Serialize, Deserialize)]
    struct NewerNote {
        words: Vec<String>,
    }
    impl Job for NewerNote {
        const KIND: &'static str = Note::KIND;
    }
    let mut old = TestApp::start().await;
    old.app.handlers.register(|_: Note, _| async { Ok(()) });
    let mut new = old.replica();
    new.app
        .handlers
        .register(|_: NewerNote, _| async { Ok(()) });
    let words = vec!["a".to_owned()];
    let id = enqueue(&new, &NewerNote { words }).await;

    assert_eq!(old.run_due_jobs().await, [Outcome::Failed]);

    let error = last_error(&old).await;
    assert!(
        error.starts_with("the payload cannot be decoded"),
        "{error}"
    );
    old.advance(Duration::seconds(10));
    assert_eq!(new.run_due_jobs().await, [Outcome::Succeeded]);
    assert_eq!(state_of(&old, id).await, "gone");
}

#[tokio::test]
async fn a_kind_that_is_not_known_is_left_alone() {
    let mut app = TestApp::start().await;
    let id = enqueue(&app, &Note::saying("a")).await;

    assert_eq!(app.run_due_jobs().await.len(), 0);

    assert_eq!(state_of(&app, id).await, "queued 0/0");
    app.app.handlers.register(|_: Note, _| async { Ok(()) });
    assert_eq!(app.run_due_jobs().await, [Outcome::Succeeded]);
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_cancelled_and_what_it_began_is_undone() {
    #[derive(Serialize, Deserialize)]
    struct Hang {}
    impl Job for Hang {
        const KIND: &'static str = "test.hang";
        const TIMEOUT: StdDuration = StdDuration::from_millis(200);
    }
    let mut app = TestApp::start().await;
    let (database, jobs) = (app.app.database.clone(), app.app.jobs.clone());
    app.app.handlers.register(move |_: Hang, _| {
        let (database, jobs) = (database.clone(), jobs.clone());
        async move {
            let transaction = database.begin().await?;
            jobs.enqueue(&transaction, &Note::saying("never")).await?;
            pending().await
        }
    });
    let id = enqueue(&app, &Hang {}).await;

    assert_eq!(app.run_due_jobs().await, [Outcome::Failed]);

    assert_eq!(
        last_error(&app).await,
        "the handler was cancelled after 200ms"
    );
    assert_eq!(state_of(&app, id).await, "queued 1/0");
}

#[tokio::test]
async fn what_a_person_waits_for_comes_first_and_no_kind_waits_for_another() {
    macro_rules! kinds {
        ($($name:ident $kind:literal $priority:ident),*) => {$(
            #[derive(Serialize, Deserialize)]
            struct $name {}
            impl Job for $name {
                const KIND: &'static str = $kind;
                const PRIORITY: Priority = Priority::$priority;
            }
        )*};
    }
    kinds!(Low "test.a_low" Low, Many "test.b_many" Normal, Few "test.c_few" Normal, High "test.d_high" High);
    let mut app = TestApp::with(&[("JOBS_CONCURRENCY", "1")]).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    macro_rules! handlers {
        ($($name:ident)*) => {$(
            let seen = Arc::clone(&order);
            app.app.handlers.register(move |_: $name, _| {
                seen.lock().unwrap().push(stringify!($name));
                async { Ok(()) }
            });
        )*};
    }
    handlers!(Low Many Few High);
    enqueue(&app, &Low {}).await;
    for _ in 0..20 {
        enqueue(&app, &Many {}).await;
    }
    enqueue(&app, &Few {}).await;
    enqueue(&app, &High {}).await;

    let tasks = app.start_tasks();
    let ended = async {
        while order.lock().unwrap().len() < 23 {
            tokio::time::sleep(StdDuration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(StdDuration::from_secs(30), ended)
        .await
        .unwrap();
    tasks.stop().await;

    let order = order.lock().unwrap();
    assert_eq!(order[0], "High", "{order:?}");
    assert_eq!(order[22], "Low", "{order:?}");
    let few = order.iter().position(|name| *name == "Few").unwrap();
    assert!(few < 12, "it waited for the others: {order:?}");
}

#[tokio::test]
async fn the_dead_are_kept_for_their_days_and_then_go_by_themselves() {
    let mut app = TestApp::with(&[("JOBS_KEEP_DEAD_DAYS", "2")]).await;
    app.app
        .handlers
        .register(|_: Note, _| async { Err(JobError::permanent("on purpose")) });
    let id = enqueue(&app, &Note::saying("a")).await;
    app.run_due_jobs().await;

    app.advance(Duration::days(1));
    app.run_due_jobs().await;
    assert_eq!(state_of(&app, id).await, "dead 1/0");

    app.advance(Duration::days(1) + Duration::hours(1));
    app.run_due_jobs().await;
    assert_eq!(state_of(&app, id).await, "gone");
}
