//! A socket that reports blocked writes and limits how long they may last.
//!
//! hyper takes a whole response body into its buffer, however slowly the client reads it. Seen from the
//! service, the request is then over; seen from the socket, a megabyte may still have to be written. Without
//! this wrapper such a connection would count as idle and could be evicted in the middle of a response, and a
//! client that reads nothing at all would keep the buffer in memory for ever.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_io_timeout::TimeoutStream;

use crate::{connections::Activity, listener::Stream};

/// A socket whose writes fail with `TimedOut` when the client reads nothing for the write timeout.
pub(crate) struct TimeoutIo {
    stream: Pin<Box<TimeoutStream<Stream>>>,
    activity: Activity,
}

impl TimeoutIo {
    pub(super) fn new(stream: Stream, activity: Activity, write_timeout: Duration) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(write_timeout));
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
        self.stream.as_mut().poll_read(cx, buffer)
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
