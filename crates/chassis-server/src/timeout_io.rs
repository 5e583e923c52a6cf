//! A socket that reports blocked writes and limits how long they may last.
//!
//! Response bodies are followed chunk by chunk (`reply.rs`). Whatever else hyper writes is followed here: heads of
//! responses without a body, and frames of HTTP/2. Without this wrapper a client that sends requests and reads nothing
//! would keep hyper's buffer in memory for ever, and its connection would count as idle.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_io_timeout::TimeoutStream;

use crate::{listener::Stream, state::Activity};

/// A socket whose writes fail with `TimedOut` when the client reads nothing for the send timeout.
pub(crate) struct TimeoutIo {
    stream: Pin<Box<TimeoutStream<Stream>>>,
    activity: Activity,
}

impl TimeoutIo {
    pub(super) fn new(stream: Stream, activity: Activity, send_timeout: Duration) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(send_timeout));
        Self {
            stream: Box::pin(stream),
            activity,
        }
    }

    fn report<T>(&self, written: Poll<T>) -> Poll<T> {
        self.activity.set_write_blocked(written.is_pending());
        written
    }
}

impl AsyncRead for TimeoutIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.stream.as_mut().poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.bytes_read();
        }
        read
    }
}

impl AsyncWrite for TimeoutIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write(cx, data);
        self.report(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write_vectored(cx, parts);
        self.report(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}
