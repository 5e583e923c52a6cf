//! The runner of periodic tasks.
//!
//! A periodic task is a function and an interval. The runner owns everything else:
//!
//! - **Loop.** A task runs once at the start and then after each interval. A run that takes longer
//!   than the interval delays the next one; runs of one task never overlap in a process. Every
//!   replica runs every task.
//! - **Span.** Each run is a trace of its own, named after the task, and its log lines carry `task`.
//! - **Failure.** An error is logged as `<name>_failed` with its causes, and the next interval is
//!   the next try. A panic is logged by the panic hook and ends that run only.
//! - **Shutdown.** Between runs a task ends at once. A run is not cut off: it is told by the
//!   token it gets, and returns when it has reached a good place to stop. The process waits for it
//!   until its deadline for shutting down.

use std::{error::Error, panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt, TryFutureExt, future::BoxFuture};
use tokio::time::MissedTickBehavior;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use chassis_telemetry::Tracing;

/// Starts tasks, which run until `stop` is cancelled.
#[derive(Debug)]
pub struct Tasks<'a> {
    /// Where the tasks are spawned; it waits for them at shutdown.
    pub tracker: &'a TaskTracker,
    /// Opens the span of each run.
    pub tracing: Tracing,
    /// Tells the tasks to stop.
    pub stop: &'a CancellationToken,
}

impl Tasks<'_> {
    /// Runs `run` now and after each `interval`, in a span of this name.
    ///
    /// `run` gets the token that tells it to stop. What it returns on success is dropped; a task that
    /// has something to report logs it.
    pub fn every<F, R, T, E>(&self, interval: Duration, name: &'static str, mut run: F)
    where
        F: FnMut(CancellationToken) -> R + Send + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
        T: 'static,
        E: Error + Send + 'static,
    {
        let run = move |stop| {
            let outcome = run(stop).map_ok(drop);
            let outcome = outcome.map_err(|error| Box::new(error) as Box<dyn Error + Send>);
            outcome.boxed()
        };
        let task = repeat(
            interval,
            name,
            self.tracing.clone(),
            self.stop.clone(),
            Box::new(run),
        );
        self.tracker.spawn(task);
    }
}

/// What a task does, whatever it returns.
type Run =
    dyn FnMut(CancellationToken) -> BoxFuture<'static, Result<(), Box<dyn Error + Send>>> + Send;

async fn repeat(
    interval: Duration,
    name: &'static str,
    tracing: Tracing,
    stop: CancellationToken,
    mut run: Box<Run>,
) {
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        run_once(name, &tracing, &mut *run, stop.clone()).await;
    }
}

/// One run, whose failure and panic end here.
async fn run_once(name: &'static str, tracing: &Tracing, run: &mut Run, stop: CancellationToken) {
    let span = tracing.task(name);
    // Called inside the guarded future, because the function itself may panic, too.
    let guarded = AssertUnwindSafe(async { run(stop).await });
    match guarded.catch_unwind().instrument(span.clone()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            chassis_telemetry::fail(&span);
            let error = chassis_telemetry::chain(&*error);
            span.in_scope(|| tracing::warn!(error, "{name}_failed"));
        }
        Err(_panic) => chassis_telemetry::fail(&span),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
    };

    use chassis_telemetry::TelemetryOptions;

    use super::*;

    fn tracing() -> Tracing {
        Tracing::new(&TelemetryOptions::new("notes"))
    }

    /// Runs a task each millisecond until it ran four times.
    async fn run_four_times(run: fn(u32) -> Result<(), io::Error>) {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let tasks = Tasks {
            tracker: &tracker,
            tracing: tracing(),
            stop: &stop,
        };
        let count = Arc::new(AtomicU32::new(0));
        tasks.every(Duration::from_millis(1), "test", move |stop| {
            let count = Arc::clone(&count);
            async move {
                let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                if number == 4 {
                    stop.cancel();
                }
                run(number)
            }
        });
        tracker.close();
        let ended = tokio::time::timeout(Duration::from_secs(10), tracker.wait());
        ended.await.expect("the task runs again and then stops");
    }

    #[tokio::test]
    async fn a_task_runs_until_it_is_stopped() {
        run_four_times(|_| Ok(())).await;
    }

    #[tokio::test]
    async fn a_failed_run_is_followed_by_the_next() {
        run_four_times(|_| Err(io::Error::other("the run failed"))).await;
    }

    #[tokio::test]
    async fn a_run_that_panics_is_followed_by_the_next() {
        run_four_times(|number| {
            assert_eq!(number, 4, "this run panics on purpose");
            Ok(())
        })
        .await;
    }
}
