//! Runs that are lost: by a process that is gone, slow, or cut off from the database.

use std::sync::Arc;

use time::Duration;
use tokio::sync::Semaphore;
use warp_skeleton::features::jobs::{JobId, Outcome};

use super::{Note, enqueue, state_of};
use crate::support::{TestApp, until};

/// A service whose notes wait until they are let go.
async fn waiting() -> (TestApp, Arc<Semaphore>) {
    let app = TestApp::start().await;
    let gate = Arc::new(Semaphore::new(0));
    (with_gate(app, &gate), gate)
}

fn with_gate(mut app: TestApp, gate: &Arc<Semaphore>) -> TestApp {
    let gate = Arc::clone(gate);
    app.app.handlers.register(move |_: Note, _| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await?.forget();
            Ok(())
        }
    });
    app
}

async fn until_running(app: &TestApp, id: JobId) {
    until("its run", async || {
        state_of(app, id).await.starts_with("running")
    })
    .await;
}

async fn claim_of(app: &TestApp, id: JobId) -> i64 {
    app.value("SELECT claim FROM jobs WHERE id = $1", &[id.as_uuid()])
        .await
}

#[tokio::test]
async fn a_lost_run_is_put_back_counted_apart_and_its_late_end_changes_nothing() {
    let (first, gate) = waiting().await;
    let second = with_gate(first.replica(), &gate);
    let id = enqueue(&first, &Note::saying("a")).await;

    let late = async {
        let ended = first.run_due_jobs().await;
        assert_eq!(ended, [Outcome::Lost]);
    };
    let other = async {
        until_running(&second, id).await;
        assert_eq!(claim_of(&second, id).await, 1);
        first.advance(Duration::seconds(31));
        let ended = async { assert_eq!(second.run_due_jobs().await, [Outcome::Succeeded]) };
        let gate = async {
            until("the second claim", async || {
                claim_of(&second, id).await >= 2
            })
            .await;
            assert_eq!(state_of(&second, id).await, "running 0/1");
            // The one that came first is let go first: its end is the late one.
            gate.add_permits(1);
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            assert_eq!(state_of(&second, id).await, "running 0/1");
            gate.add_permits(1);
        };
        tokio::join!(ended, gate);
    };
    tokio::join!(late, other);

    assert_eq!(state_of(&first, id).await, "gone");
}

#[tokio::test]
async fn a_job_that_loses_its_process_too_often_is_dead() {
    let app = TestApp::with(&[("JOBS_MAX_LOSSES", "2")]).await;
    let id = enqueue(&app, &Note::saying("a")).await;
    let lose = "
UPDATE jobs
SET state = 'running', claim = claim + 1, worker = 'gone', lease_until = now() - interval '1 second'";
    for expected in ["queued 0/1", "queued 0/2", "dead 0/3"] {
        app.database().await.execute(lose, &[]).await.unwrap();

        app.run_due_jobs().await;

        assert_eq!(state_of(&app, id).await, expected);
    }
    let error: String = app.value("SELECT last_error FROM jobs", &[]).await;
    assert_eq!(error, "its process ended too often while it ran");
}

#[tokio::test]
async fn a_lease_that_holds_is_left_alone() {
    let (first, gate) = waiting().await;
    let second = with_gate(first.replica(), &gate);
    let id = enqueue(&first, &Note::saying("a")).await;

    let run = async { assert_eq!(first.run_due_jobs().await, [Outcome::Succeeded]) };
    let other = async {
        until_running(&second, id).await;
        first.advance(Duration::seconds(29));
        assert_eq!(second.run_due_jobs().await.len(), 0);
        gate.add_permits(1);
    };
    tokio::join!(run, other);
}
