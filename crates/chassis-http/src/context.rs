//! What the router knows about a request besides the request itself.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::Instant;
use warp::{Filter, Rejection};

use super::{body::RequestBody, correlation_id::CorrelationId, rate_limit::RateLimitStatus};

/// The facts of one request for filters and handlers. The router puts it into the request's extensions.
#[derive(Debug)]
pub struct RequestContext {
    /// The name of the request in logs, traces and the response.
    pub correlation_id: CorrelationId,
    /// The address of the client, behind trusted proxies the one that they forward. `None` over a unix socket
    /// without such a proxy.
    pub client_ip: Option<IpAddr>,
    /// The values at the `{…}` of the path template, in order, as sent.
    pub path_values: Vec<String>,
    /// The query string as sent, empty when there is none.
    pub query: String,
    /// The body, shared with the router, which reads what the endpoint leaves.
    pub body: RequestBody,
    /// When the head of the request had arrived.
    pub started: Instant,
    /// What remains of the limit that admitted the request; set at most once, by the limiter.
    pub rate_limit_status: OnceLock<RateLimitStatus>,
}

impl RequestContext {
    /// How long ago the head of the request arrived.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A filter that extracts the context of the request.
#[must_use]
pub fn context() -> impl Filter<Extract = (Arc<RequestContext>,), Error = Rejection> + Clone {
    warp::ext::get::<Arc<RequestContext>>()
}
