//! The accept loop, and what begins and ends it.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::FutureExt;
use hyper_util::{rt::TokioTimer, server::conn::auto::Builder};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    client::ClientNetwork,
    connection::serve_connection,
    connection_handle::ConnectionHandle,
    connections::{ConnectionCommand, Connections},
    listener::{Listener, Peer, Stream},
    metrics::ServerMetrics,
    options::ServerOptions,
    service::HttpService,
    state::CHUNK,
    stream::StreamExecutor,
};

/// How often a connection that could not be accepted is logged.
const ACCEPT_LOG_PAUSE: Duration = Duration::from_secs(10);

/// What h2 buffers of a response at most, in bytes: the chunk that is being written, and the next one.
const SEND_BUFFER: usize = 2 * CHUNK;

/// How many connections wait in the kernel at most, as tokio asks for it.
const BACKLOG: usize = 1024;

/// How much an HTTP/2 client may send of a body, and of all bodies of a connection, before the service has read it.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// How many streams a client may have reset that were not accepted yet (rapid reset), and how many it may make the
/// server reset by breaking the protocol, before the connection is closed.
const MAX_PENDING_RESETS: usize = 20;
const MAX_LOCAL_RESETS: usize = 128;

/// Serves connections of this listener until `shutdown` resolves, then shuts down gracefully.
///
/// `make_service` is called once per connection, with the address of the client. Its result serves all requests of
/// that connection; see [`HttpService`] for what it may be. Of the options, everything counts but the address: that
/// is for [`Listener::bind`].
///
/// Returns how many connections had to be cut because they did not finish within
/// [`shutdown_timeout`](ServerOptions::shutdown_timeout). Dropping the future has the effect of dropping a
/// [`ServerHandle`]. What goes wrong is counted where nobody looks; [`start`] takes metrics.
///
/// # Panics
///
/// Outside of a tokio runtime that has I/O and time enabled, or when an option is below its minimum.
pub async fn serve<M, S>(
    listener: Listener,
    make_service: M,
    options: &ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> usize
where
    M: Fn(&Peer) -> S + Send + Sync + 'static,
    S: HttpService,
{
    let server = start(listener, make_service, options, &ServerMetrics::default());
    shutdown.await;
    server.stop(options.shutdown_timeout).await
}

/// Begins to serve connections of this listener, in tasks of their own. The same as [`serve`] for a process that has
/// several listeners or does more than serving.
///
/// # Panics
///
/// Outside of a tokio runtime that has I/O and time enabled, or when an option is below its minimum.
pub fn start<M, S>(
    listener: Listener,
    make_service: M,
    options: &ServerOptions,
    metrics: &ServerMetrics,
) -> ServerHandle
where
    M: Fn(&Peer) -> S + Send + Sync + 'static,
    S: HttpService,
{
    let handle = ServerHandle {
        connections: Connections::new(options, metrics.clone()),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
    };
    let server = Server {
        make_service,
        builder: builder(options, metrics),
        options: options.clone(),
        connections: handle.connections.clone(),
        tasks: handle.tasks.clone(),
        stop: handle.stop.clone(),
    };
    // Tracked with the connections: `stop` returns after the listener is closed and its socket file gone.
    handle.tasks.spawn(Arc::new(server).accept_loop(listener));
    handle
}

/// A running server. Dropping it begins the graceful shutdown of [`ServerHandle::stop`] without waiting for it and
/// without a time limit.
#[must_use = "a server shuts down when its handle is dropped"]
pub struct ServerHandle {
    connections: Connections,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl ServerHandle {
    /// How many connections are open, not counting those that were evicted and are about to close.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Closes the listener and idle connections, lets requests in flight finish, and cuts what is left after `within`.
    ///
    /// Returns how many connections were cut.
    pub async fn stop(&self, within: Duration) -> usize {
        self.begin_shutdown();
        if tokio::time::timeout(within, self.tasks.wait())
            .await
            .is_ok()
        {
            return 0;
        }
        let cut = self.tasks.len();
        self.connections.send_to_all(ConnectionCommand::Abort);
        self.tasks.wait().await;
        cut
    }

    fn begin_shutdown(&self) {
        self.stop.cancel();
        self.connections
            .send_to_all(ConnectionCommand::FinishAndClose);
        self.tasks.close();
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.begin_shutdown();
    }
}

struct Server<M> {
    make_service: M,
    builder: Builder<StreamExecutor>,
    options: ServerOptions,
    connections: Connections,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<M, S> Server<M>
where
    M: Fn(&Peer) -> S + Send + Sync + 'static,
    S: HttpService,
{
    async fn accept_loop(self: Arc<Self>, listener: Listener) {
        listener.bound_send_queue();
        let mut failure_logged: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if failure_logged.is_none_or(|logged| logged.elapsed() > ACCEPT_LOG_PAUSE) {
                        failure_logged = Some(Instant::now());
                        tracing::warn!(%error, "accept_failed");
                    }
                    // Usually there are no file descriptors left: the cap that counts is the operating system's.
                    self.connections.free_descriptor().await;
                    continue;
                }
            };
            let handle = tokio::select! {
                () = self.stop.cancelled() => break,
                handle = self.connections.admit(self.client(&peer)) => handle,
            };
            self.spawn(stream, peer, handle);
        }
        // The kernel has already accepted these for us; closing the listener would reset them. No more than its queue holds, and
        // without tokio's budget, which ends after 128.
        for _ in 0..BACKLOG {
            let accepted = tokio::task::unconstrained(listener.accept()).now_or_never();
            let Some(Ok((stream, peer))) = accepted else {
                break;
            };
            let Some(handle) = self.connections.admit(self.client(&peer)).now_or_never() else {
                break;
            };
            self.spawn(stream, peer, handle);
        }
    }

    /// The client that a connection counts for; a proxy has the connections of many.
    fn client(&self, peer: &Peer) -> Option<ClientNetwork> {
        let ip = peer.ip?;
        let proxies = &self.options.trusted_proxies;
        let is_proxy = proxies
            .iter()
            .any(|network| network.contains(&ip.to_canonical()));
        (!is_proxy).then(|| ClientNetwork::of(ip))
    }

    /// Serves an admitted connection; closes one that was not.
    fn spawn(self: &Arc<Self>, stream: Stream, peer: Peer, handle: Option<ConnectionHandle>) {
        let Some(handle) = handle else { return };
        let server = Arc::clone(self);
        self.tasks.spawn(async move {
            let service = (server.make_service)(&peer);
            serve_connection(&server.builder, &server.options, stream, service, handle).await;
        });
    }
}

fn builder(options: &ServerOptions, metrics: &ServerMetrics) -> Builder<StreamExecutor> {
    let mut builder = Builder::new(StreamExecutor {
        send_timeout: options.send_timeout,
        metrics: metrics.clone(),
    });
    builder
        .http1()
        // The timer of serve_connection does this, see there.
        .header_read_timeout(None)
        .max_buf_size(options.max_head_bytes)
        .max_headers(options.max_headers);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(options.http2_keep_alive_interval)
        .keep_alive_timeout(options.http2_keep_alive_timeout)
        .max_concurrent_streams(options.max_http2_streams)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
        // h2 derives from it how many CONTINUATION frames a head may have.
        .max_header_list_size(u32::try_from(options.max_head_bytes).unwrap_or(u32::MAX));
    builder
}
