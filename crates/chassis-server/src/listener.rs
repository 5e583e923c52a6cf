//! Where connections come from: TCP or a unix socket. One type for both, so that the rest is not generic over it.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use crate::options::ListenAddress;

/// How many bytes the kernel keeps unsent per TCP connection.
#[cfg(any(target_os = "android", target_os = "linux"))]
const UNSENT_BYTES: u32 = 128 * 1024;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The address it connected from; `None` on a unix socket. Behind a proxy this is the proxy.
    pub ip: Option<IpAddr>,
}

/// An open listener.
#[derive(Debug)]
pub enum Listener {
    /// On a TCP address.
    Tcp(TcpListener),
    /// On a unix socket. Its file is removed first: a new process takes a file without a socket for one that a dead process
    /// left, and replaces it by its own, which must not be removed then.
    Unix(SocketFile, UnixListener),
}

/// The file of a unix socket, removed when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have been removed already.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// For a socket that was bound elsewhere, by a supervisor for example.
impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl Listener {
    /// Listens on this address.
    ///
    /// The file that a dead process left at the path of a unix socket is replaced; the socket of a live one is not.
    ///
    /// # Errors
    ///
    /// An error of the operating system, with its [`io::ErrorKind`], whose message names the address.
    pub async fn bind(address: &ListenAddress) -> io::Result<Self> {
        let bound = match address {
            ListenAddress::Tcp { host, port } => bind_tcp(host, *port).await,
            ListenAddress::Unix(path) => bind_unix(path).await,
        };
        bound.map_err(|error| {
            let message = format!("cannot listen on {address}: {error}");
            io::Error::new(error.kind(), message)
        })
    }

    /// The next connection.
    ///
    /// # Errors
    ///
    /// When the operating system has none to give, usually for want of file descriptors. The listener stays usable.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Without it small responses wait for each other's acknowledgement; they still arrive.
                let _ = stream.set_nodelay(true);
                Ok((
                    Stream::Tcp(stream),
                    Peer {
                        ip: Some(address.ip()),
                    },
                ))
            }
            Self::Unix(_, listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer { ip: None }))
            }
        }
    }

    /// Bounds what the kernel keeps of responses that it has not sent yet, in connections accepted from now on.
    ///
    /// The kernel would otherwise buffer megabytes per connection for a client that reads nothing, and it would report
    /// progress in steps of that size. What was sent and not acknowledged is bounded by the client's own window.
    pub(crate) fn bound_send_queue(&self) {
        #[cfg(any(target_os = "android", target_os = "linux"))]
        if let Self::Tcp(listener) = self {
            // Connections inherit it. Without it they work all the same.
            let _ = socket2::SockRef::from(listener).set_tcp_notsent_lowat(UNSENT_BYTES);
        }
    }

    /// The TCP address with the port that was really taken; `None` for a unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

async fn bind_tcp(host: &str, port: u16) -> io::Result<Listener> {
    TcpListener::bind((host, port)).await.map(Listener::Tcp)
}

async fn bind_unix(path: &Path) -> io::Result<Listener> {
    if is_dead_socket(path).await {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    Ok(Listener::Unix(SocketFile(path.to_owned()), listener))
}

/// Whether there is a socket file here that no process listens on.
async fn is_dead_socket(path: &Path) -> bool {
    let metadata = std::fs::symlink_metadata(path);
    metadata.is_ok_and(|metadata| metadata.file_type().is_socket())
        && UnixStream::connect(path)
            .await
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// As a log shows it: `http://127.0.0.1:8000` or `unix:/run/service.sock`.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.address()) {
            (_, Some(address)) => write!(f, "http://{address}"),
            (Self::Unix(file, _), None) => write!(f, "unix:{}", file.0.display()),
            (Self::Tcp(_), None) => f.write_str("an unknown address"),
        }
    }
}

/// An open connection of either kind.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
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

#[cfg(all(test, any(target_os = "android", target_os = "linux")))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_connections_inherit_the_bound_of_what_waits_unsent() {
        let (host, port) = ("127.0.0.1".to_owned(), 0);
        let listener = Listener::bind(&ListenAddress::Tcp { host, port }).await;
        let listener = listener.unwrap();
        listener.bound_send_queue();
        let address = listener.address().unwrap();

        let (accepted, client) = tokio::join!(listener.accept(), TcpStream::connect(address));

        let (Stream::Tcp(accepted), _) = accepted.unwrap() else {
            panic!("not TCP");
        };
        let bound = socket2::SockRef::from(&accepted).tcp_notsent_lowat();
        assert_eq!(bound.unwrap(), UNSENT_BYTES);
        drop(client);
    }
}
