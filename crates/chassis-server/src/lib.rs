// The page is read where documentation is made, so that an edit to it compiles nothing.
#![cfg_attr(any(doc, doctest), doc = include_str!("../README.md"))]
#![cfg_attr(not(any(doc, doctest)), doc = "README.md says what this is for.")]
//!
//! # Which timer covers which phase
//!
//! | what a connection does | limit | at its end |
//! | --- | --- | --- |
//! | from accepting it to its first complete request head | [`header_timeout`] | cut |
//! | a further head of HTTP/1, from its first byte on | [`header_timeout`] | graceful close, cut after [`close_grace`] |
//! | nothing between two requests; a further head of HTTP/2 | [`idle_timeout`] | graceful close, cut after [`close_grace`] |
//! | a request runs, its response waits for the service | none here: the service's own | |
//! | a request waits for its body | none here: the service's own | |
//! | a response is written, and the client takes nothing of it | [`send_timeout`] | HTTP/1: cut; HTTP/2: the stream is reset |
//! | an HTTP/2 client does not answer a ping | [`http2_keep_alive_timeout`] | cut |
//! | at a cap, idle or waiting for its client for [`stall_grace`] | [`close_grace`]; none if it never sent a request | cut |
//! | the server shuts down, no request so far | [`first_request_grace`] | graceful close |
//! | the server shuts down, a request waits for its client | [`shutdown_stall_grace`] | cut |
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
//!    flight, unless that waits for its client for longer than [`shutdown_stall_grace`], closes after the response (HTTP/1, with `Connection: close`) or refuses new streams (HTTP/2, with GOAWAY).
//!    One that never sent a request has [`first_request_grace`] for it: a load balancer may just
//!    have chosen this replica.
//! 4. When the last connection has ended, `serve` returns. After [`shutdown_timeout`] the rest is cut and counted.
//!
//! What comes before 1 belongs to the caller: a service behind a load balancer first reports that it is not ready
//! and goes on serving until the balancer has noticed.
//!
//! How connections are counted and which is evicted is explained at the top of `connections.rs`, what counts as
//! progress at the top of `state.rs`.
//!
//! # What waits in memory
//!
//! Per connection: a request head of at most [`max_head_bytes`] being read; at most 16 KiB and what was accepted besides
//! of each response being sent, in HTTP/2 for at most [`max_http2_streams`]; on Linux 128 KiB in the kernel, besides what
//! the client's own window allows. Of the bodies of requests as much as the service reads of one; in HTTP/2
//! [`max_http2_body_bytes`] of all, and 256 KiB that the service has not read. A response that the service makes in one piece is in memory as a whole until it is
//! sent.
//!
//! # What hyper answers itself
//!
//! Some requests are answered before there is one, so no service sees them. The answers have no body, and the connection
//! is closed:
//!
//! - 400: a malformed request line or header, an invalid `Content-Length` or several, an unknown transfer coding,
//!   another version of HTTP;
//! - 431: a head beyond [`max_head_bytes`] or [`max_headers`]; 414 when a request target beyond 65,534 bytes is met first;
//! - HTTP/2: 431 for such a list of headers, and a reset stream or GOAWAY for whatever breaks the protocol.
//!
//! # Logs and metrics
//!
//! [`ServerMetrics`] counts `connection_errors_total` by `reason`. `tracing` events:
//!
//! | event | level | fields |
//! | --- | --- | --- |
//! | `request_refused`: hyper answered 400, 414 or 431 | info | `reason`, `client_network`, `error` |
//! | `connection_failed`: it broke, or the client left | debug | `reason`, `client_network`, `error` |
//! | `connection_cut`, `stream_reset`: a time limit | debug | `reason` |
//! | `client_connection_limit_reached`: once per client | warning | `client_network`, `limit`, `advice` |
//! | `accept_failed`: usually no file descriptors are left | warning, every 10 s at most | `error` |
//!
//! [`header_timeout`]: ServerOptions::header_timeout
//! [`idle_timeout`]: ServerOptions::idle_timeout
//! [`send_timeout`]: ServerOptions::send_timeout
//! [`stall_grace`]: ServerOptions::stall_grace
//! [`shutdown_stall_grace`]: ServerOptions::shutdown_stall_grace
//! [`max_head_bytes`]: ServerOptions::max_head_bytes
//! [`max_headers`]: ServerOptions::max_headers
//! [`max_http2_streams`]: ServerOptions::max_http2_streams
//! [`max_http2_body_bytes`]: ServerOptions::max_http2_body_bytes
//! [`close_grace`]: ServerOptions::close_grace
//! [`http2_keep_alive_timeout`]: ServerOptions::http2_keep_alive_timeout
//! [`first_request_grace`]: ServerOptions::first_request_grace
//! [`shutdown_timeout`]: ServerOptions::shutdown_timeout

mod client;
mod close_policy;
mod connection;
mod connection_handle;
mod connections;
mod listener;
mod metrics;
mod options;
mod reply;
mod server;
mod service;
#[cfg(feature = "settings")]
mod settings;
mod signals;
mod state;
mod stream;
mod timeout_io;

#[cfg(feature = "settings")]
pub use self::settings::HOST;
pub use self::{
    listener::{Listener, Peer, SocketFile, Stream},
    metrics::ServerMetrics,
    options::{ListenAddress, ServerOptions},
    reply::RequestBody,
    server::{ServerHandle, serve, start},
    service::{HttpService, ServiceFn, service_fn},
    signals::ShutdownSignals,
};
