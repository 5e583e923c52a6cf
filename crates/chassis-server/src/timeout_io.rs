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

/// How many bytes are read before others get their turn.
///
/// tokio's own budget counts reads, and a read of 64 KiB can be seven thousand frames of HTTP/2: a client that floods its
/// connection with them would keep a thread, and its connection's timer, waiting for seconds.
const READ_BURST: usize = 32 * 1024;

/// A socket whose writes fail with `TimedOut` when the client reads nothing for the send timeout.
pub(crate) struct TimeoutIo {
    stream: Pin<Box<TimeoutStream<Stream>>>,
    activity: Activity,
    /// Bytes read since the task last waited.
    read_in_burst: usize,
}

impl TimeoutIo {
    pub(super) fn new(stream: Stream, activity: Activity, send_timeout: Duration) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(send_timeout));
        Self {
            stream: Box::pin(stream),
            activity,
            read_in_burst: 0,
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
        if self.read_in_burst >= READ_BURST {
            self.read_in_burst = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = self.stream.as_mut().poll_read(cx, buffer);
        let length = buffer.filled().len() - before;
        if length > 0 {
            self.activity.bytes_read();
        }
        self.read_in_burst = if read.is_pending() {
            0
        } else {
            self.read_in_burst + length
        };
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::{io::AsyncWriteExt, net::UnixStream};

    use super::*;
    use crate::{connections::Connections, metrics::ServerMetrics, options::ServerOptions};

    #[tokio::test]
    async fn whoever_sends_without_pause_is_read_in_bursts() {
        let connections = Connections::new(&ServerOptions::default(), ServerMetrics::default());
        let handle = connections.admit(None).await.unwrap();
        let (mut client, server) = UnixStream::pair().unwrap();
        let limit = Duration::from_mins(1);
        let mut io = TimeoutIo::new(Stream::Unix(server), handle.activity(), limit);
        client.write_all(&vec![0; 3 * READ_BURST]).await.unwrap();

        let (mut bursts, mut total) = (Vec::new(), 0);
        while total < 3 * READ_BURST {
            let mut burst = 0;
            loop {
                let mut bytes = [0; 4096];
                let mut buffer = ReadBuf::new(&mut bytes);
                let mut cx = Context::from_waker(Waker::noop());
                if Pin::new(&mut io)
                    .poll_read(&mut cx, &mut buffer)
                    .is_pending()
                {
                    break;
                }
                burst += buffer.filled().len();
            }
            total += burst;
            bursts.push(burst);
            // Readiness is noted by the runtime.
            tokio::task::yield_now().await;
        }

        assert!(
            bursts.iter().all(|burst| *burst <= READ_BURST),
            "{bursts:?}"
        );
    }
}
