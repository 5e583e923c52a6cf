//! Where connections come from: TCP or a unix socket.

use std::{
    fmt, io,
    net::SocketAddr,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use crate::web::Peer;

/// An open listener.
#[derive(Debug)]
pub enum Listener {
    /// On an address.
    Tcp(TcpListener),
    /// On a socket file, which goes when the listener does.
    Unix(UnixListener, SocketFile),
}

/// A socket file of ours.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens on an address.
    pub async fn tcp(host: &str, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((host, port)).await;
        let listener = listener.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "; something listens there already: stop it, or set PORT (or ADMIN_PORT) to another, as in `PORT=8001 make dev`"
                }
                _ => "",
            };
            io::Error::new(
                error.kind(),
                format!("cannot listen on {host}:{port}: {error}{hint}"),
            )
        })?;
        Ok(Self::Tcp(listener))
    }

    /// Listens on a socket file. One that a dead process left behind is replaced, a live one is not.
    pub async fn unix(path: &Path) -> io::Result<Self> {
        let explain = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("cannot listen on {}: {error}", path.display()),
            )
        };
        if let Ok(metadata) = std::fs::symlink_metadata(path) {
            let is_dead = metadata.file_type().is_socket()
                && UnixStream::connect(path)
                    .await
                    .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if is_dead {
                std::fs::remove_file(path).map_err(explain)?;
            }
        }
        let listener = UnixListener::bind(path).map_err(explain)?;
        Ok(Self::Unix(listener, SocketFile(path.to_owned())))
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Small replies should not wait for each other. If it cannot be had, they do.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Peer::Ip(address.ip())))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Local))
            }
        }
    }

    /// The address, once it is known.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.address()) {
            (_, Some(address)) => write!(f, "http://{address}"),
            (Self::Unix(_, file), None) => write!(f, "unix:{}", file.0.display()),
            (Self::Tcp(_), None) => f.write_str("an unknown address"),
        }
    }
}

/// A connection of either kind.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a socket file.
    Unix(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
