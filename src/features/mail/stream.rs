//! The connection before STARTTLS: nothing that came in the clear is read after it.
//!
//! lettre reads answers through a buffer, and keeps what is in it when TLS begins. Whoever can write into the connection
//! could send answers behind the one to STARTTLS, which would then be taken for the server's answers to what is said under
//! TLS: a message would count as taken that no server has seen. (The same in servers is CVE-2011-0411.) So until TLS
//! begins this gives one byte for each read. The buffer then never holds more than the line that was asked for, and what is behind it
//! reaches the TLS handshake, which fails.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The first byte of a TLS handshake (RFC 8446, section 5.1), which no command of SMTP begins with.
const HANDSHAKE: u8 = 22;

/// A connection that may change to TLS.
#[derive(Debug)]
pub(super) struct PlainStream {
    inner: TcpStream,
    is_encrypted: bool,
}

impl PlainStream {
    pub(super) fn new(inner: TcpStream) -> Self {
        Self {
            inner,
            is_encrypted: false,
        }
    }
}

impl AsyncTokioStream for PlainStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

impl AsyncRead for PlainStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_encrypted {
            return Pin::new(&mut self.inner).poll_read(context, buffer);
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.inner).poll_read(context, &mut one))?;
        buffer.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_encrypted |= bytes.first() == Some(&HANDSHAKE);
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
