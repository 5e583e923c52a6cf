//! One request from its arrival until the kernel has taken the last byte of its response.
//!
//! hyper tells nobody when a response has been sent: it drops the body as soon as it holds the last chunk, and in HTTP/2
//! it does not poll the body while the client's window is closed, so that no timer inside a body would ever fire. What
//! can be watched are the chunks: hyper and h2 drop each when its last byte has been written to the socket. So a
//! response is cut into chunks of at most [`CHUNK`] bytes, and each holds its [`Reply`]:
//!
//! - the request counts as in flight while a chunk of it exists;
//! - the time of the last dropped chunk is the time of the last progress;
//! - h2 keeps few bytes: it takes a whole chunk as soon as the client's window has room for one byte.
//!
//! In HTTP/2 the body ends only after its last chunk was dropped. Otherwise hyper would forget the stream with that chunk
//! still in h2's buffer, and nothing could reset it any more. See `stream.rs` for the timer.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use crate::state::{CHUNK, ConnectionState};

/// In [`Reply::waits`]: the service waits for a part of the request's body. The other bits count chunks on their way.
const RECEIVING: u32 = 1 << 31;

/// A request in flight, until dropped.
pub(crate) struct Reply {
    connection: Arc<ConnectionState>,
    is_http2: bool,
    /// What the request waits for that only the client can bring about; 0 while the service works.
    waits: AtomicU32,
    /// When the oldest chunk on its way was handed over, or one was dropped after it.
    sending_since: AtomicU64,
    /// Whether the body of the response was handed over to its end.
    ended: AtomicBool,
    /// Whether a chunk was dropped unsent.
    cut_short: AtomicBool,
    /// The task that waits for the last chunk.
    sent: AtomicWaker,
    /// When the last chunk was dropped, if the reply ends with it.
    ends_at: Option<u64>,
}

impl Reply {
    pub(crate) fn begin(connection: &Arc<ConnectionState>, is_http2: bool) -> Arc<Self> {
        connection.request_began(is_http2);
        Arc::new(Self {
            connection: Arc::clone(connection),
            is_http2,
            waits: AtomicU32::new(0),
            sending_since: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            cut_short: AtomicBool::new(false),
            sent: AtomicWaker::new(),
            ends_at: None,
        })
    }

    /// Nothing more will be handed over.
    pub(crate) fn ended(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// For how long the client has taken nothing of what is on its way; `None` when nothing is.
    pub(crate) fn stalled_for(&self) -> Option<Duration> {
        if self.waits.load(Ordering::SeqCst) & !RECEIVING == 0 {
            return None;
        }
        let since = self.sending_since.load(Ordering::Relaxed);
        Some(Duration::from_nanos(self.now().saturating_sub(since)))
    }

    /// Read once for all that one event changes: it happens several times per request.
    fn now(&self) -> u64 {
        self.connection.connections.now()
    }

    fn chunk(self: &Arc<Self>, bytes: Bytes) -> Chunk {
        let now = self.now();
        if self.waits.load(Ordering::Relaxed) & !RECEIVING == 0 {
            self.sending_since.store(now, Ordering::Relaxed);
        }
        let before = self.waits.fetch_add(1, Ordering::SeqCst);
        self.waits_changed(before, before + 1, now);
        Chunk {
            bytes,
            reply: Arc::clone(self),
        }
    }

    /// A chunk of so many bytes.
    #[cfg(test)]
    pub(crate) fn chunk_of(self: &Arc<Self>, length: usize) -> Chunk {
        self.chunk(Bytes::from(vec![0; length]))
    }

    /// Returns when that was.
    fn chunk_dropped(&self, whole: bool) -> u64 {
        let now = self.now();
        self.sending_since.store(now, Ordering::Relaxed);
        if whole {
            self.connection.progressed(now);
        } else {
            self.cut_short.store(true, Ordering::Relaxed);
        }
        let before = self.waits.fetch_sub(1, Ordering::SeqCst);
        self.waits_changed(before, before - 1, now);
        if (before - 1) & !RECEIVING == 0 {
            self.sent.wake();
        }
        now
    }

    fn set_receiving(&self, receiving: bool) {
        let before = if receiving {
            self.waits.fetch_or(RECEIVING, Ordering::SeqCst)
        } else if self.waits.load(Ordering::Relaxed) & RECEIVING == 0 {
            return;
        } else {
            self.waits.fetch_and(!RECEIVING, Ordering::SeqCst)
        };
        let flag = if receiving { RECEIVING } else { 0 };
        self.waits_changed(before, before & !RECEIVING | flag, self.now());
    }

    /// Reports to the connection what became of this request's part of its counts. Each change of `waits` is atomic, so
    /// these add up whatever the order in which threads get here.
    fn waits_changed(&self, before: u32, after: u32, now: u64) {
        match (before == 0, after == 0) {
            (true, false) => self.connection.add_serving(-1, now),
            (false, true) => self.connection.add_serving(1, now),
            _ => {}
        }
        match (before & !RECEIVING == 0, after & !RECEIVING == 0) {
            (true, false) => self.connection.add_sending(1),
            (false, true) => self.connection.add_sending(-1),
            _ => {}
        }
    }

    /// Resolves when no chunk is on its way.
    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.sent.register(cx.waker());
        if self.waits.load(Ordering::SeqCst) & !RECEIVING == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let now = self.ends_at.unwrap_or_else(|| self.now());
        // No chunk exists any more, as each holds the reply.
        if *self.waits.get_mut() == 0 {
            self.connection.add_serving(-1, now);
        }
        let whole = *self.ended.get_mut() && !*self.cut_short.get_mut();
        self.connection.request_ended(whole, now);
    }
}

/// A part of a response on its way to the socket.
pub(crate) struct Chunk {
    bytes: Bytes,
    reply: Arc<Reply>,
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let now = self.reply.chunk_dropped(self.bytes.is_empty());
        // Mostly nothing else holds the reply any more: then it ends now, and need not read the clock again.
        if let Some(reply) = Arc::get_mut(&mut self.reply) {
            reply.ends_at = Some(now);
        }
    }
}

pin_project! {
    /// The body of a response, in chunks that report when they were sent.
    pub(crate) struct ResponseBody<B> {
        #[pin]
        body: B,
        reply: Arc<Reply>,
        // What is left of the last frame.
        rest: Bytes,
        // What comes after the last chunk, once that is known: trailers or nothing.
        end: Option<Option<http::HeaderMap>>,
    }
}

impl<B: Body> ResponseBody<B> {
    /// `is_head`: whether the client asked for the head alone, so that hyper will not look at the body.
    pub(crate) fn new(body: B, reply: Arc<Reply>, is_head: bool) -> Self {
        if is_head || body.is_end_stream() {
            reply.ended();
        }
        Self {
            body,
            reply,
            rest: Bytes::new(),
            end: None,
        }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = Chunk;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, B::Error>>> {
        let mut this = self.project();
        loop {
            if !this.rest.is_empty() {
                let part = this.rest.split_to(this.rest.len().min(CHUNK));
                // With a Content-Length hyper does not ask for more than that.
                let ends = this.body.is_end_stream() || this.body.size_hint().exact() == Some(0);
                if this.rest.is_empty() && ends {
                    this.reply.ended();
                }
                return Poll::Ready(Some(Ok(Frame::data(this.reply.chunk(part)))));
            }
            if let Some(trailers) = this.end {
                if this.reply.is_http2 {
                    ready!(this.reply.poll_sent(cx));
                }
                this.reply.ended();
                let trailers = trailers
                    .take()
                    .map(|trailers| Ok(Frame::trailers(trailers)));
                return Poll::Ready(trailers);
            }
            match ready!(this.body.as_mut().poll_frame(cx)) {
                None => *this.end = Some(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(mut data) => *this.rest = data.copy_to_bytes(data.remaining()),
                    Err(frame) => *this.end = Some(frame.into_trailers().ok()),
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let ended = self.rest.is_empty() && self.body.is_end_stream();
        ended && !(self.reply.is_http2 && self.reply.stalled_for().is_some())
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let hint = self.body.size_hint();
        let mut total = SizeHint::new();
        if let Some(upper) = hint.upper() {
            total.set_upper(upper.saturating_add(rest));
        }
        total.set_lower(hint.lower().saturating_add(rest));
        total
    }
}

/// The body of a request. It reports when the service waits for it.
///
/// It fails with [`io::ErrorKind::QuotaExceeded`] when the bodies of one HTTP/2 connection hold more than
/// [`max_http2_body_bytes`](crate::ServerOptions::max_http2_body_bytes), once; what comes then may be read on and dropped.
/// Its other errors are hyper's.
#[derive(Debug)]
pub struct RequestBody {
    body: Incoming,
    reply: ReplyOfBody,
    /// Bytes since the last progress.
    received: usize,
    /// Bytes that count as held by the service until this is dropped.
    held: usize,
    /// Whether it was refused, as it holds too much.
    is_refused: bool,
}

/// Keeps a request in flight, and prints as nothing.
struct ReplyOfBody(Arc<Reply>);

impl std::fmt::Debug for ReplyOfBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

impl RequestBody {
    pub(crate) fn new(body: Incoming, reply: Arc<Reply>) -> Self {
        Self {
            body,
            reply: ReplyOfBody(reply),
            received: 0,
            held: 0,
            is_refused: false,
        }
    }

    /// Counts what was received. Whether that is too much for its connection, which is told once.
    fn exceeds(&mut self, length: usize) -> bool {
        let reply = &self.reply.0;
        if !reply.is_http2 || self.is_refused {
            return false;
        }
        self.held += length;
        self.is_refused = !reply.connection.hold_body_bytes(length);
        self.is_refused
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let reply = &self.reply.0;
        reply.set_receiving(polled.is_pending());
        if let Poll::Ready(frame) = &polled {
            let length = match frame {
                Some(Ok(frame)) => frame.data_ref().map_or(CHUNK, Bytes::len),
                _ => CHUNK,
            };
            self.received += length;
            if self.received >= CHUNK || self.body.is_end_stream() {
                self.received = 0;
                self.reply.0.connection.progressed(self.reply.0.now());
            }
        }
        let frame = ready!(polled);
        let data = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok()?.data_ref());
        if let Some(length) = data.map(Bytes::len)
            && self.exceeds(length)
        {
            let why = "the request bodies of this connection take too much memory at once";
            let error = io::Error::new(io::ErrorKind::QuotaExceeded, why);
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.reply.0.connection.release_body_bytes(self.held);
        self.reply.0.set_receiving(false);
    }
}
