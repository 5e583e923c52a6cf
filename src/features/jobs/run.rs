//! One run of a job: its span, its time limit, and what came of it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::{
    JobError, Run,
    backoff::retry_delay,
    handlers::Kind,
    tables::claims::{ClaimedJob, PutBack},
};

/// How a run ended: the label `outcome`, and the field of the log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The handler succeeded.
    Succeeded,
    /// It failed, and is tried again.
    Failed,
    /// It failed, and is not tried again.
    Dead,
    /// It was put back, because the process stops.
    Released,
    /// The lease was lost meanwhile, so that another run decides.
    Lost,
}

impl Outcome {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Released => "released",
            Self::Lost => "lost",
        }
    }
}

/// A run that has ended, and what is to be written about it.
pub(super) struct EndedRun {
    pub(super) job: ClaimedJob,
    /// What comes of it when the lease is still held.
    pub(super) outcome: Outcome,
    pub(super) duration: Duration,
    longest_wait: Duration,
    error: Option<String>,
    span: Span,
}

/// Calls the handler, and sees that it ends.
pub(super) async fn run(
    job: ClaimedJob,
    kind: &Kind,
    span: Span,
    cancelled: CancellationToken,
) -> EndedRun {
    let started = Instant::now();
    let run = Run {
        id: job.lease.id,
        attempt: job.failures + 1,
    };
    // Called inside the guarded future, because the function itself may panic, too.
    let work = async {
        let decoded = (kind.handler)(&job.payload, run);
        let unusable = |error| JobError::retry(format!("the payload cannot be decoded: {error}"));
        decoded.map_err(unusable)?.await
    };
    // The work is dropped in here as well, at its timeout or when it is cancelled: that may panic, too.
    let limited = async {
        let limited = tokio::time::timeout(kind.timeout, work);
        tokio::select! {
            biased;
            ended = limited => Some(ended),
            () = cancelled.cancelled() => None,
        }
    };
    let guarded = AssertUnwindSafe(limited)
        .catch_unwind()
        .instrument(span.clone());
    let ended = guarded.await;
    let is_cancelled = matches!(ended, Ok(None));
    let failure = match ended {
        Ok(None | Some(Ok(Ok(())))) => None,
        Ok(Some(Ok(Err(error)))) => Some(error),
        Ok(Some(Err(_))) => Some(JobError::retry(format!(
            "the handler was cancelled after {:?}",
            kind.timeout
        ))),
        Err(_panic) => Some(JobError::retry("the handler panicked")),
    };
    let is_last = run.attempt >= job.max_attempts;
    EndedRun {
        outcome: match &failure {
            None if is_cancelled => Outcome::Released,
            None => Outcome::Succeeded,
            Some(error) if error.is_permanent || is_last => Outcome::Dead,
            Some(_) => Outcome::Failed,
        },
        error: failure.as_ref().map(text_of),
        duration: started.elapsed(),
        longest_wait: kind.longest_wait,
        job,
        span,
    }
}

/// The longest error that is kept, in characters.
const MAX_ERROR: usize = 500;

/// The error as the table keeps it, whose texts take every character but one.
fn text_of(error: &JobError) -> String {
    let chain = AssertUnwindSafe(|| chassis_telemetry::chain(&*error.source));
    let text = catch_unwind(chain);
    let text = text.unwrap_or_else(|_panic| "an error that panics when it is printed".to_owned());
    text.replace('\0', " ").chars().take(MAX_ERROR).collect()
}

impl EndedRun {
    /// What to write about a run that did not succeed.
    pub(super) fn put_back(&self) -> PutBack<'_> {
        PutBack {
            lease: self.job.lease,
            error: self.error.as_deref(),
            retry_in: (self.outcome != Outcome::Dead)
                .then(|| retry_delay(self.job.failures, self.longest_wait)),
        }
    }

    /// Writes the line of the run.
    pub(super) fn log(&self, outcome: Outcome) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    job_id = %self.job.lease.id,
                    attempt = self.job.failures + 1,
                    outcome = outcome.as_str(),
                    duration_ms = milliseconds(self.duration),
                    wait_ms = milliseconds(self.job.wait),
                    error = self.error,
                    "job_completed"
                )
            };
        }
        if matches!(outcome, Outcome::Failed | Outcome::Dead) {
            chassis_telemetry::fail(&self.span);
        }
        self.span.in_scope(|| match outcome {
            Outcome::Succeeded | Outcome::Released => line!(info),
            Outcome::Failed | Outcome::Dead | Outcome::Lost => line!(warn),
        });
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
