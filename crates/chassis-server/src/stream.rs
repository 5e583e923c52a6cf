//! HTTP/2 streams: each has a time limit for sending of its own.
//!
//! hyper hands the future of each stream to the executor. Dropping that future resets the stream. So the executor wraps
//! it with a timer that looks at the stream's [`Reply`], which the service's part of the future puts into a
//! task-local slot.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::{
    metrics::{CloseReason, ServerMetrics},
    reply::Reply,
};

/// Where a stream's future finds its reply.
type ReplySlot = Arc<OnceLock<Arc<Reply>>>;

tokio::task_local! {
    static REPLY: ReplySlot;
}

/// Tells the stream whose future is being polled, if it is one, that this is its reply.
pub(crate) fn set_reply(reply: &Arc<Reply>) {
    // HTTP/1 has no streams: there is no slot then.
    let _ = REPLY.try_with(|slot| slot.set(Arc::clone(reply)));
}

/// Spawns the futures of streams on tokio, each with this time limit for sending.
#[derive(Clone)]
pub(crate) struct StreamExecutor {
    pub(crate) send_timeout: Duration,
    pub(crate) metrics: ServerMetrics,
}

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(TimedStream {
            stream,
            slot: ReplySlot::default(),
            timer: None,
            executor: self.clone(),
        });
    }
}

pin_project! {
    struct TimedStream<F> {
        #[pin]
        stream: F,
        slot: ReplySlot,
        #[pin]
        timer: Option<Sleep>,
        executor: StreamExecutor,
    }
}

impl<F: Future<Output = ()>> Future for TimedStream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let stream = this.stream;
        if REPLY
            .sync_scope(Arc::clone(this.slot), || stream.poll(cx))
            .is_ready()
        {
            return Poll::Ready(());
        }
        // The timer is not set anew for each chunk: when it is due, the reply tells how much time is left.
        loop {
            if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                if timer.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                this.timer.set(None);
            }
            let Some(stalled_for) = this.slot.get().and_then(|reply| reply.stalled_for()) else {
                return Poll::Pending;
            };
            let left = this.executor.send_timeout.saturating_sub(stalled_for);
            if left.is_zero() {
                this.executor.metrics.closed(CloseReason::SendTimeout);
                tracing::debug!(reason = CloseReason::SendTimeout.label(), "stream_reset");
                return Poll::Ready(());
            }
            this.timer
                .set(Some(tokio::time::sleep_until(Instant::now() + left)));
        }
    }
}
