#![doc = include_str!("../README.md")]
//!
//! # Which timer covers which phase
//!
//! | phase of a connection | limit | at its end |
//! | --- | --- | --- |
//! | from accepting it to its first complete request head | [`header_timeout`] | cut |
//! | a request runs, its response waits for the service | none here: the service's own | |
//! | a response is written, and the client reads nothing | [`write_timeout`] | cut |
//! | idle between requests, or the next head is incomplete | [`header_timeout`] | graceful close, cut after [`close_grace`] |
//! | an HTTP/2 client does not answer a ping | [`http2_keep_alive_timeout`] | cut |
//! | evicted at the cap | [`close_grace`]; none if it never sent a request | cut |
//! | the server shuts down, no request so far | [`first_request_grace`] | graceful close |
//! | the server shuts down, requests in flight | [`shutdown_timeout`] | cut |
//!
//! A request body that arrives slowly counts as a running request: limit it in the service, which alone
//! knows how long a body may take.
//!
//! # What happens at shutdown, in order
//!
//! 1. `shutdown` resolves, or [`ServerHandle::stop`] is called.
//! 2. The accept loop takes what the kernel has already accepted, so that no client gets a reset for a
//!    connection that it believes to be open, and closes the listener. A socket file is removed.
//! 3. Each connection is told to finish. One that is idle closes at once. One with a request in
//!    flight closes after the response (HTTP/1, with `Connection: close`) or refuses new streams (HTTP/2, with GOAWAY).
//!    One that never sent a request has [`first_request_grace`] for it: a load balancer may just
//!    have chosen this replica.
//! 4. When the last connection has ended, `serve` returns. After [`shutdown_timeout`] the rest is cut and counted.
//!
//! What comes before 1 belongs to the caller: a service behind a load balancer first reports that it is not ready
//! and goes on serving until the balancer has noticed.
//!
//! How connections are counted and which is evicted is explained at the top of `connections.rs`.
//!
//! # Logs
//!
//! Two `tracing` events: `accept_failed` (warning, with `error`) and `connection_failed` (debug, with `error`).
//!
//! [`header_timeout`]: ServerOptions::header_timeout
//! [`write_timeout`]: ServerOptions::write_timeout
//! [`close_grace`]: ServerOptions::close_grace
//! [`http2_keep_alive_timeout`]: ServerOptions::http2_keep_alive_timeout
//! [`first_request_grace`]: ServerOptions::first_request_grace
//! [`shutdown_timeout`]: ServerOptions::shutdown_timeout

mod connection;
mod connections;
mod listener;
mod options;
mod server;
mod service;
#[cfg(feature = "settings")]
mod settings;
mod signals;
mod timeout_io;
mod tracked_body;

#[cfg(feature = "settings")]
pub use self::settings::HOST;
pub use self::{
    listener::{Listener, Peer, SocketFile, Stream},
    options::{ListenAddress, ServerOptions},
    server::{ServerHandle, serve, start},
    service::{HttpService, ServiceFn, service_fn},
    signals::ShutdownSignals,
};
