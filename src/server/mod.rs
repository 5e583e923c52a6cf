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
    connections::{Connections, Order, Place, Requests},
    sending::{Outlet, Sending},
};
pub use self::{
    listener::{Listener, SocketFile, Stream},
    settings::ServerSettings,
};
use crate::web::{Peer, Router};

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
    router: Arc<Router>,
    builder: Builder<TokioExecutor>,
    header_timeout: Duration,
    connections: Connections,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What the requests of a connection share: reached by one count of its own, which no other core touches.
struct Line {
    router: Arc<Router>,
    peer: Peer,
    requests: Requests,
}

impl Server {
    /// Prepares to serve this site.
    #[must_use]
    pub fn new(router: Arc<Router>, settings: &ServerSettings) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .header_read_timeout(None)
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
            router,
            builder,
            header_timeout: settings.header_timeout,
            connections: Connections::new(settings.max_connections),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
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
        let line = Arc::new(Line {
            router: Arc::clone(&self.router),
            peer,
            requests: place.requests(),
        });
        let service = service_fn(move |request: Request<Incoming>| {
            let (line, in_flight) = (Arc::clone(&line), line.requests.begin());
            async move {
                let response = line.router.respond(request, line.peer).await;
                // In flight until all of it is sent, or given up.
                Ok::<_, Infallible>(response.map(|body| Sending::new(body, in_flight)))
            }
        });
        let stream = TokioIo::new(Outlet::new(stream, place.requests()));
        let mut connection = pin!(self.builder.serve_connection_with_upgrades(stream, service));
        let mut alarm = pin!(tokio::time::sleep(self.header_timeout));
        let (mut followed, mut parted) = (Order::Serve, false);
        loop {
            // All of these are polled whenever the connection is: none may take a lock that others share.
            tokio::select! {
                biased;
                outcome = connection.as_mut() => {
                    if let Err(error) = outcome {
                        tracing::debug!(error, "connection_failed");
                    }
                    return;
                }
                order = place.ordered(followed) => {
                    followed = order;
                    let silent = place.is_silent();
                    match order {
                        // A newcomer's first request may be on its way.
                        Order::Finish if silent => alarm.as_mut().reset(Instant::now() + FIRST_REQUEST),
                        Order::Serve | Order::Finish => {
                            parted = true;
                            connection.as_mut().graceful_shutdown();
                        }
                        Order::MakeRoom if !silent => {
                            parted = true;
                            connection.as_mut().graceful_shutdown();
                            alarm.as_mut().reset(Instant::now() + LAST_WORDS);
                        }
                        Order::MakeRoom | Order::Abort => return,
                    }
                }
                // One timer that looks when it is due, instead of hyper's, which is set anew for each request,
                // starts only once the version of the protocol is known, and does not exist in HTTP/2.
                () = alarm.as_mut() => {
                    let idle = place.idle().unwrap_or_default();
                    let left = self.header_timeout.saturating_sub(idle);
                    let ended = left.is_zero() && (parted || place.is_silent());
                    if ended || followed == Order::MakeRoom {
                        return;
                    }
                    if left.is_zero() || followed == Order::Finish && !parted {
                        parted = true;
                        connection.as_mut().graceful_shutdown();
                        alarm.as_mut().reset(Instant::now() + LAST_WORDS);
                    } else {
                        alarm.as_mut().reset(Instant::now() + left);
                    }
                }
            }
        }
    }

    /// Takes no more connections, closes the idle ones and lets requests in flight finish.
    ///
    /// Returns how many connections had to be cut because they did not in time.
    pub async fn stop(&self, within: Duration) -> usize {
        self.stop.cancel();
        self.connections.tell(Order::Finish);
        self.tasks.close();
        if tokio::time::timeout(within, self.tasks.wait())
            .await
            .is_ok()
        {
            return 0;
        }
        let cut = self.tasks.len();
        self.connections.tell(Order::Abort);
        self.tasks.wait().await;
        cut
    }
}
