//! The body of a request while it arrives: counted, timed, and read to its end if no one else did.
//!
//! [`RequestBody`] is a handle on the body that hyper hands over. Clones share one [`Reading`] behind a
//! lock: warp's filters get a clone as the body of the request, the router keeps another. The lock is held
//! for a single poll at a time, and at most one of the two reads at any moment: first the endpoint, then,
//! when it has answered, the router.
//!
//! A body is in one of these states:
//!
//! - *untouched*: not polled yet. If the client sent `Expect: 100-continue` it has not sent the body
//!   either, because hyper sends `100 Continue` with the first poll. Then the body must not be polled just to
//!   drop it.
//! - *arriving*: the timer is set and frames are counted. A request that runs into its time limit in this
//!   state is answered by a 408 (the client is slow), in every other state by a 503 (the service is).
//! - *ended*: the end came, or the first error. Later polls repeat that outcome.
//!
//! Why the router drains what is left: a server that answers and closes while the client still sends makes
//! the kernel reset the connection, and the client may lose the answer. So up to [`DRAIN_BYTES`] are read and
//! dropped for up to [`DRAIN_TIME`]. If the end is not reached the response says `Connection: close`, since
//! the rest of the body could not be told from a next request.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep};

use super::problem::{BODY_TIMEOUT, BODY_TOO_LARGE, INVALID_REQUEST, Problem, TOO_MANY_REQUESTS};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type AnyBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// How many bytes of a body that no one reads are dropped at most.
const DRAIN_BYTES: u64 = 1024 * 1024;
/// For how long they are.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Why a body could not be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than [`HttpOptions::max_body_bytes`](crate::HttpOptions::max_body_bytes).
    #[error("the body is too large")]
    TooLarge,
    /// It took longer than [`HttpOptions::body_timeout`](crate::HttpOptions::body_timeout).
    #[error("the body did not arrive in time")]
    TimedOut,
    /// The connection's bodies take too much memory: the server said so.
    #[error("too many bodies at once")]
    TooManyAtOnce,
    /// The connection broke, or the framing was wrong.
    #[error("the body broke off")]
    BrokeOff,
}

impl BodyError {
    /// A server below that bounds the memory of a connection says so by an error of this kind.
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let error = error.downcast_ref::<io::Error>();
        if error.is_some_and(|error| error.kind() == io::ErrorKind::QuotaExceeded) {
            return Self::TooManyAtOnce;
        }
        Self::BrokeOff
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Problem::new(
                &BODY_TOO_LARGE,
                "the body is longer than this service accepts",
            ),
            BodyError::TimedOut => Problem::new(&BODY_TIMEOUT, "the body did not arrive in time"),
            BodyError::TooManyAtOnce => Problem::new(
                &TOO_MANY_REQUESTS,
                "one connection sends too much at once; send fewer bodies at a time",
            )
            .retry_after(1),
            BodyError::BrokeOff => Problem::new(&INVALID_REQUEST, "the body broke off"),
        }
    }
}

/// A handle on the body of a request; clones share the body. The default is an empty body.
#[derive(Clone, Default)]
pub struct RequestBody(Option<Arc<Mutex<Reading>>>);

struct Reading {
    body: AnyBody,
    limit: u64,
    received: u64,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// The client waits for `100 Continue`, which the first poll sends.
    waits: bool,
    ended: Option<Result<(), BodyError>>,
}

impl RequestBody {
    /// Wraps a body with its limit in bytes and the time by which all of it has to have arrived.
    pub fn new<B>(body: B, headers: &HeaderMap, limit: u64, deadline: Instant) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self(None);
        }
        let reading = Reading {
            body: Box::pin(body.map_err(Into::into)),
            limit,
            received: 0,
            deadline,
            timer: None,
            waits: headers.contains_key(header::EXPECT),
            ended: None,
        };
        Self(Some(Arc::new(Mutex::new(reading))))
    }

    /// Reads the whole body into memory.
    pub async fn read(&self) -> Result<Bytes, BodyError> {
        if self
            .lock()
            .is_some_and(|reading| reading.is_announced_too_large())
        {
            return Err(BodyError::TooLarge);
        }
        let mut body = self.clone();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                whole.extend_from_slice(&data);
            }
        }
        Ok(whole.freeze())
    }

    /// Whether the body was polled and has not ended: the client is still sending.
    #[must_use]
    pub fn is_arriving(&self) -> bool {
        self.lock()
            .is_some_and(|reading| reading.timer.is_some() && reading.ended.is_none())
    }

    /// Reads and drops the rest, up to 1 MiB and for up to a second. Returns whether the end was reached.
    pub async fn drain(&self) -> bool {
        let Some(shared) = &self.0 else { return true };
        let rest = async {
            let mut dropped = 0;
            loop {
                let frame = std::future::poll_fn(|cx| Self::poll_raw(shared, cx)).await;
                match frame {
                    None => return true,
                    Some(Err(_)) => return false,
                    Some(Ok(frame)) => dropped += length_of(&frame),
                }
                if dropped > DRAIN_BYTES {
                    return false;
                }
            }
        };
        let untouched = self
            .lock()
            .is_some_and(|reading| reading.waits && reading.received == 0);
        if untouched || self.lock().is_some_and(|reading| reading.is_hopeless()) {
            return false;
        }
        tokio::time::timeout(DRAIN_TIME, rest)
            .await
            .unwrap_or(false)
    }

    fn poll_raw(
        shared: &Mutex<Reading>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        lock(shared).body.as_mut().poll_frame(cx)
    }

    fn lock(&self) -> Option<MutexGuard<'_, Reading>> {
        self.0.as_deref().map(lock)
    }
}

/// Ignores poisoning: each poll leaves the state consistent, also when it panics.
fn lock(shared: &Mutex<Reading>) -> MutexGuard<'_, Reading> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn length_of(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

impl Reading {
    fn is_announced_too_large(&self) -> bool {
        self.body.size_hint().lower() > self.limit
    }

    /// Whether more is announced than [`drain`](RequestBody::drain) reads.
    fn is_hopeless(&self) -> bool {
        self.body.size_hint().lower() > DRAIN_BYTES
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(ended) = self.ended {
            return Poll::Ready(ended.err().map(Err));
        }
        let deadline = self.deadline;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        let end = match self.body.as_mut().poll_frame(cx) {
            Poll::Pending => {
                ready!(timer.as_mut().poll(cx));
                Err(BodyError::TimedOut)
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.received += length_of(&frame);
                if self.received <= self.limit {
                    return Poll::Ready(Some(Ok(frame)));
                }
                Err(BodyError::TooLarge)
            }
            Poll::Ready(Some(Err(error))) => Err(BodyError::of(&*error)),
            Poll::Ready(None) => Ok(()),
        };
        self.ended = Some(end);
        Poll::Ready(end.err().map(Err))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.lock() {
            Some(mut reading) => reading.poll_next(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_none_or(|reading| reading.ended.is_some())
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().map_or_else(
            || SizeHint::with_exact(0),
            |reading| reading.body.size_hint(),
        )
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestBody")
    }
}
