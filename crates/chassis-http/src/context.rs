//! What the router knows about a request besides the request itself.

use std::{
    fmt,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
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
    /// The method, which is `HEAD` where an endpoint of `GET` answers it.
    pub method: Method,
    /// The scope of the endpoint: see [`EndpointBuilder::scope`](crate::EndpointBuilder::scope).
    pub scope: Option<&'static str>,
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
    /// What [`add_response_header`](Self::add_response_header) was told.
    pub(super) response_headers: Mutex<Vec<ResponseHeader>>,
}

/// A header of the response, if that holds in the end.
pub(super) struct ResponseHeader {
    name: HeaderName,
    value: HeaderValue,
    holds: Pin<Box<dyn Future<Output = bool> + Send>>,
}

/// Without the value, which may be a secret.
impl fmt::Debug for ResponseHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHeader")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl RequestContext {
    /// How long ago the head of the request arrived.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Adds a header to the response, unless that is a failure or the endpoint sets one of this name: for guards, which do not
    /// make it.
    ///
    /// `holds` is asked once the response is complete, which may be long after the guard looked, and keeps the response
    /// waiting: it has to end by itself.
    pub fn add_response_header(
        &self,
        name: HeaderName,
        value: HeaderValue,
        holds: impl Future<Output = bool> + Send + 'static,
    ) {
        self.lock_response_headers().push(ResponseHeader {
            name,
            value,
            holds: Box::pin(holds),
        });
    }

    /// Adds them to the response that the endpoint made.
    pub(super) async fn add_response_headers_to(&self, response: &mut HeaderMap) {
        let mut added = std::mem::take(&mut *self.lock_response_headers());
        added.retain(|header| !response.contains_key(&header.name));
        for ResponseHeader { name, value, holds } in added {
            if holds.await {
                response.append(name, value);
            }
        }
    }

    fn lock_response_headers(&self) -> MutexGuard<'_, Vec<ResponseHeader>> {
        let headers = self.response_headers.lock();
        headers.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A filter that extracts the context of the request.
#[must_use]
pub fn context() -> impl Filter<Extract = (Arc<RequestContext>,), Error = Rejection> + Clone {
    warp::ext::get::<Arc<RequestContext>>()
}
