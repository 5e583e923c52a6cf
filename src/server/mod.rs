//! The accept loop: connections with timers and limits, and a graceful end.
//!
//! warp's own server sets no timers, so its filters are served by hyper here.
//! A connection has to bring a request within the header timeout; at the cap
//! the one that has been idle longest makes room; when the service stops, idle
//! connections close and requests in flight finish.

mod connections;
mod listener;
mod sending;
mod settings;

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    connections::{Connections, Place},
    sending::{Outlet, Sending},
};
pub use self::{
    listener::{Listener, SocketFile, Stream},
    settings::ServerSettings,
};
use crate::web::{Peer, Site};

/// The longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// How many headers a request may have.
const MAX_HEADERS: usize = 100;

/// How many requests one HTTP/2 connection may have in flight.
const MAX_STREAMS: u32 = 128;

/// How long a connection that was just taken has to bring its first request when the service stops.
const FIRST_REQUEST: Duration = Duration::from_millis(250);

/// How long a connection that has to make room may take to send what it has begun to.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long to wait before the next try when a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves a site on a listener.
pub struct Server {
    site: Arc<Site>,
    builder: Builder<TokioExecutor>,
    header_timeout: Duration,
    connections: Connections,
    tasks: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Server {
    /// Prepares to serve this site.
    #[must_use]
    pub fn new(site: Arc<Site>, settings: &ServerSettings) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_timeout)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
        Self {
            site,
            builder,
            header_timeout: settings.header_timeout,
            connections: Connections::new(settings.max_connections),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
        }
    }

    /// Begins to take connections, until [`Server::stop`].
    pub fn start(self: &Arc<Self>, listener: Listener) {
        // Tracked with the connections: the service ends after its listener is closed and its socket file gone.
        self.tasks.spawn(Arc::clone(self).run(listener));
    }

    async fn run(self: Arc<Self>, listener: Listener) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Usually there are no file descriptors left; some will come free.
                    tracing::warn!(%error, "accept_failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let place = tokio::select! {
                () = self.stop.cancelled() => break,
                place = self.connections.admit() => place,
            };
            self.tasks
                .spawn(Arc::clone(&self).serve(stream, peer, place));
        }
        // Whom the kernel has let in already would be thrown out with the listener.
        while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
            let Some(place) = self.connections.admit().now_or_never() else {
                break;
            };
            self.tasks
                .spawn(Arc::clone(&self).serve(stream, peer, place));
        }
    }

    async fn serve(self: Arc<Self>, stream: Stream, peer: Peer, place: Place) {
        let requests = place.requests();
        let site = Arc::clone(&self.site);
        let service = service_fn(move |request: Request<Incoming>| {
            let (site, in_flight) = (Arc::clone(&site), requests.begin());
            async move {
                let response = site.respond(request, peer).await;
                // In flight until all of it is sent, or given up.
                Ok::<_, Infallible>(response.map(|body| Sending::new(body, in_flight)))
            }
        });
        let stream = TokioIo::new(Outlet::new(stream, place.requests()));
        let mut connection = pin!(self.builder.serve_connection_with_upgrades(stream, service));
        let mut silence = pin!(tokio::time::sleep(self.header_timeout));
        let mut farewell = pin!(tokio::time::sleep(Duration::ZERO));
        let mut linger = pin!(tokio::time::sleep(Duration::ZERO));
        let (mut stopping, mut parted, mut evicted, mut last_seen) = (false, false, false, None);
        loop {
            tokio::select! {
                outcome = connection.as_mut() => {
                    if let Err(error) = outcome {
                        tracing::debug!(error, "connection_failed");
                    }
                    return;
                }
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    // A newcomer's first request may be on its way.
                    let grace = if place.is_silent() { FIRST_REQUEST } else { Duration::ZERO };
                    farewell.as_mut().reset(Instant::now() + grace);
                }
                () = farewell.as_mut(), if stopping && !parted => {
                    parted = true;
                    connection.as_mut().graceful_shutdown();
                }
                // hyper's own timer starts only once it knows the version of the protocol, and HTTP/2 has none.
                () = silence.as_mut(), if !parted => {
                    if place.is_silent() {
                        return;
                    }
                    let seen = place.last_request();
                    if seen.is_some() && seen == last_seen {
                        parted = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    last_seen = seen;
                    silence.as_mut().reset(Instant::now() + self.header_timeout);
                }
                () = place.evicted(), if !evicted => {
                    if place.is_silent() {
                        return;
                    }
                    (evicted, parted) = (true, true);
                    connection.as_mut().graceful_shutdown();
                    linger.as_mut().reset(Instant::now() + LAST_WORDS);
                }
                () = linger.as_mut(), if evicted => return,
                () = self.abort.cancelled() => return,
            }
        }
    }

    /// Takes no more connections, closes the idle ones and lets requests in flight finish.
    ///
    /// Returns how many connections had to be cut because they did not in time.
    pub async fn stop(&self, within: Duration) -> usize {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(within, self.tasks.wait())
            .await
            .is_ok()
        {
            return 0;
        }
        let cut = self.tasks.len();
        self.abort.cancel();
        self.tasks.wait().await;
        cut
    }
}
