//! What a server is told: where to listen, how long to wait, how much to accept.

use std::{fmt, path::PathBuf, time::Duration};

use ipnet::IpNet;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP port.
    Tcp {
        /// Host name or IP address; `0.0.0.0` or `::` for all interfaces.
        host: String,
        /// Port; 0 takes a free one, which [`Listener::address`](crate::Listener::address) tells.
        port: u16,
    },
    /// A unix socket at this path.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Addresses, timeouts and limits of a server.
///
/// The defaults suit a service on the internet behind a proxy:
///
/// ```
/// use chassis_server::{ListenAddress, ServerOptions};
///
/// let options = ServerOptions {
///     listen: ListenAddress::Tcp { host: "0.0.0.0".to_owned(), port: 8080 },
///     max_connections: 2_000,
///     ..ServerOptions::default()
/// };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// Where [`Listener::bind`](crate::Listener::bind) listens. Default: `127.0.0.1:8000`.
    pub listen: ListenAddress,
    /// How long a request head may take: from accepting the connection, or from the first byte of a further head.
    /// Default: 10 s.
    pub header_timeout: Duration,
    /// How long a connection may be kept without a request. Longer than the 60 s that proxies and load balancers
    /// usually keep theirs, so that it is they who close: a request that meets a closing connection is a 502. Default:
    /// 75 s.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of a response, less than 16 KiB and not the rest of it, before its HTTP/2
    /// stream is reset, or its HTTP/1 connection cut. Default: 30 s.
    pub send_timeout: Duration,
    /// How long [`serve`](crate::serve) lets requests in flight finish during shutdown. Default: 30 s.
    pub shutdown_timeout: Duration,
    /// How long a connection that has not sent a request yet may still send one during shutdown. Default: 250 ms.
    pub first_request_grace: Duration,
    /// How long a connection that is being closed, because it was idle too long or evicted at the cap, may take to
    /// write what it has begun to. Default: 1 s.
    pub close_grace: Duration,
    /// How many connections there may be at once. At the cap, a new one evicts the one that has waited longest for its
    /// client, or waits while the service works for all of them. At least 1; 0 accepts none. Default: 10 000.
    pub max_connections: usize,
    /// How many connections one client network may have (an IPv4 address, an IPv6 /64). Beyond that a new one evicts
    /// one of the same client or is refused. At least 1. Not counted: unix sockets and `trusted_proxies`. Default:
    /// 1000.
    pub max_connections_per_client: usize,
    /// Proxies in front of the server, which have the connections of many clients. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a request may wait for its client (for its body, or for 16 KiB of its response to be taken) before its
    /// connection may be evicted at a cap. Default: 1 s.
    pub stall_grace: Duration,
    /// The same during shutdown, before the connection is cut. Default: 5 s.
    pub shutdown_stall_grace: Duration,
    /// The longest request head, in bytes, that is not answered with 431. At least 8192. Default: 32 KiB.
    pub max_head_bytes: usize,
    /// How many headers a request may have before it is answered with 431. Default: 100.
    pub max_headers: usize,
    /// How many requests one HTTP/2 connection may have in flight, and so how many responses may wait in memory for a
    /// client that takes none. Default: 32.
    pub max_http2_streams: u32,
    /// How many bytes of request bodies one HTTP/2 connection may have in memory at once, before further ones fail; from when
    /// the service reads them until it drops the body. A service that passes bodies on may set it to `usize::MAX`. Not
    /// counted: unix sockets and `trusted_proxies`. Default: 256 KiB.
    pub max_http2_body_bytes: usize,
    /// How often an HTTP/2 connection is pinged. Default: 20 s.
    pub http2_keep_alive_interval: Duration,
    /// How long an HTTP/2 client has to answer a ping before its connection is closed. Default: 10 s.
    pub http2_keep_alive_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: ListenAddress::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 8000,
            },
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            send_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(30),
            first_request_grace: Duration::from_millis(250),
            close_grace: Duration::from_secs(1),
            max_connections: 10_000,
            max_connections_per_client: 1_000,
            trusted_proxies: Vec::new(),
            stall_grace: Duration::from_secs(1),
            shutdown_stall_grace: Duration::from_secs(5),
            max_head_bytes: 32 * 1024,
            max_headers: 100,
            max_http2_streams: 32,
            max_http2_body_bytes: 256 * 1024,
            http2_keep_alive_interval: Duration::from_secs(20),
            http2_keep_alive_timeout: Duration::from_secs(10),
        }
    }
}
