//! A router on the server of `chassis-server`.
//!
//! That server is generic over what it serves, and the compiler generates it, with hyper and h2, in the crate that says
//! what that is. Here it is said once, so that they are not generated again with each change to a
//! service.

use std::convert::Infallible;

use chassis_server::{Listener, Peer, ServerHandle, ServerMetrics, ServerOptions};
use futures_util::FutureExt;

use super::router::Router;

impl Router {
    /// Begins to answer the connections of this listener; see [`chassis_server::start`].
    ///
    /// The router has to live as long as the process, for example by [`Box::leak`], so that requests need not count who
    /// else uses it.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime that has I/O and time enabled, or when an option is below its minimum.
    pub fn start(
        &'static self,
        listener: Listener,
        options: &ServerOptions,
        metrics: &ServerMetrics,
    ) -> ServerHandle {
        let service = move |peer: &Peer| {
            let ip = peer.ip;
            chassis_server::service_fn(move |request| {
                self.respond(request, ip).map(Ok::<_, Infallible>)
            })
        };
        chassis_server::start(listener, service, options, metrics)
    }
}
