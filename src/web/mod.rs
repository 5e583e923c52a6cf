//! The shared words of HTTP. Nothing here has heard of a feature.
//!
//! A request meets the [`Router`] first: it finds the endpoint, names the
//! request, measures it, bounds it, and finishes whatever reply comes back.
//! In between runs one [`Endpoint`]: warp filters, composed when the endpoint
//! was stated. What goes wrong travels as a [`Problem`].

mod body;
mod context;
mod endpoint;
mod validation;
mod forwarded;
mod guard;
mod handler;
mod headers;
mod host;
mod metrics;
pub mod openapi;
mod page;
mod patch;
pub mod problem;
mod query;
mod rate_limit;
mod settings;
mod serde_error;
mod router;

use std::convert::Infallible;

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use warp::{
    Filter,
    reply::{Reply, Response},
};

pub use self::{
    body::{BodyError, MediaType, RequestBody, json_body, parse_json, raw_body},
    context::{CORRELATION_HEADER, CorrelationId, Peer, RequestContext, context},
    endpoint::{
        EndpointBuilder, Endpoint, Feature, Operation, delete, endpoint, get, patch, post,
        put,
    },
    validation::{ValidationError, ValidationErrors},
    guard::{
        Access, Guard, PublicGuard, ReadGuard, WriteGuard, public, presented_token, 
    },
    handler::{Append, Handler, Push, RefuseQuery, Serve, State},
    metrics::HttpMetrics,
    page::{Cursor, ListPage, Page, PageRequest, PageView, UnknownCursor},
    patch::present,
    problem::{FieldError, Problem, ProblemType},
    query::{parse_query, query},
    rate_limit::{
        NetworkRateLimit, Buckets, Quota, RateLimitClass, RateLimitMetrics, RateLimited, ClientNetwork, RateLimitStatus, TakeResult, RateLimiter,
    },
    settings::WebSettings,
    router::Router,
};

/// Hands a cloneable value to a handler.
pub fn with<T: Clone + Send + Sync + 'static>(
    value: T,
) -> impl Filter<Extract = (T,), Error = Infallible> + Clone {
    warp::any().map(move || value.clone())
}

/// A JSON reply.
pub fn json<T: Serialize>(status: StatusCode, view: &T) -> Response {
    warp::reply::with_status(warp::reply::json(view), status).into_response()
}

/// The reply to something new, with the address where it is.
///
/// # Panics
///
/// When the address is not printable ASCII: it is made from ids.
pub fn created<T: Serialize>(location: &str, view: &T) -> Response {
    let mut response = json(StatusCode::CREATED, view);
    let location = HeaderValue::from_str(location).expect("an address made from ids is ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// The reply to something done that leaves nothing to say.
#[must_use]
pub fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
