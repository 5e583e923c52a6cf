// The page is read where documentation is made, so that an edit to it compiles nothing.
#![cfg_attr(any(doc, doctest), doc = include_str!("../README.md"))]
#![cfg_attr(not(any(doc, doctest)), doc = "README.md says what this is for.")]
//!
//! # How a definition becomes a filter
//!
//! [`get`], [`post`] and their siblings take a path template, a summary and a guard, and return an
//! [`EndpointBuilder`]. Each of its methods does two things: it writes something into the endpoint's [`Operation`],
//! which is plain data, and it appends a warp filter that does what was written. `path_value::<NoteId>(…)` documents
//! a parameter and a possible 404, and appends a filter that parses the value; `body::<CreateNote>()` documents a
//! schema and four problems, and appends a filter that reads and parses the body. Nothing is documented that does
//! not happen, because both come from one call.
//!
//! The filters run in the order in which they were appended: rate limit, guard, then path, query and body. So a
//! caller without permission is rejected before the body is read. An endpoint that does not take the query rejects a
//! query string. The builder is completed by a handler, an async function whose parameters are what the filters
//! extract and then the values of [`with`](EndpointBuilder::with); `handler.rs` explains the traits that join the two.
//! The result is an [`Endpoint`]: an `Operation` and one boxed function from request to response.
//!
//! The type of a guard says what an endpoint may do with its caller: `get` takes a [`ReadGuard`], the others take a
//! [`WriteGuard`], and neither converts into the other.
//!
//! # What the router does around an endpoint
//!
//! A [`Router`] finds the endpoint by path and method and wraps it: correlation id, client address behind trusted
//! proxies, span, rate limit, `Host` check, time limit, catching panics, draining the body, security headers, CORS,
//! metrics, log line. The steps and their order are described in `router/mod.rs`, the states of a body in `body.rs`.
//!
//! Handlers do not see the raw request. What the router knows about it travels as a [`RequestContext`] in the
//! request's extensions, and [`context()`] is the filter that extracts it.
//!
//! # How failures travel
//!
//! A failure is a [`Problem`]: a [`ProblemType`] (code, status, title), a detail, perhaps field errors, headers, and
//! the cause. A handler returns it as `Err`, a filter rejects with it. At the end of the endpoint's filters there is
//! one function that turns rejections into responses. warp's own rejections become problems there; none of them
//! travels further, so no other route is tried after a failure.
//!
//! As a response a problem is an empty body with the `Problem` in the extensions. The router takes it out, logs its
//! cause if it is a 5xx (the client is told the correlation id only), and renders it with that id. So a problem is
//! rendered and logged in one place, whichever way it came.
//!
//! # What a service brings
//!
//! The span of a request ([`Router::with_span`]), a Prometheus registry, the time ([`NetworkRateLimit::new`]), the
//! names of its rate limit classes, and the words of its OpenAPI document ([`openapi::ApiInfo`]). Log lines go to
//! `tracing`: `request_completed` with the target `request`, and `request_failed` with a target below `chassis_http`.

mod body;
mod builder;
mod context;
mod correlation_id;
mod define;
mod endpoint;
mod forwarded;
mod guard;
mod handler;
mod headers;
mod host;
mod json;
mod metrics;
pub mod openapi;
mod options;
mod origin;
mod page;
pub mod problem;
#[cfg(test)]
mod properties;
mod query;
mod rate_limit;
mod registration;
mod response;
mod router;
pub mod schema;
mod serde_error;
#[cfg(feature = "settings")]
mod settings;
#[cfg(feature = "server")]
mod start;
mod validation;

use std::convert::Infallible;

use warp::Filter;

pub use self::{
    body::{BodyError, RequestBody},
    builder::EndpointBuilder,
    context::{RequestContext, context},
    correlation_id::{CORRELATION_HEADER, CorrelationId},
    define::{delete, get, patch, post, put},
    endpoint::{Endpoint, Feature, Operation},
    guard::{Access, PublicGuard, ReadGuard, WriteGuard, optional, presented_token, public},
    handler::{Accepts, Append, Handler, Push, Serve, ServeFn, State},
    json::{MediaType, json_body, parse_json, raw_body},
    metrics::HttpMetrics,
    options::HttpOptions,
    origin::is_origin,
    page::PageView,
    problem::{FieldError, Problem, ProblemType},
    query::{parse_query, query},
    rate_limit::{
        Buckets, ClientNetwork, NetworkRateLimit, Quota, RateLimitClass, RateLimitMetrics,
        RateLimitStatus, RateLimited, RateLimiter, TakeResult,
    },
    response::{accepted, created, json, no_content},
    router::{IncomingRequest, Router, default_span},
    validation::{ValidationError, ValidationErrors},
};

/// A filter that extracts a clone of this value.
pub fn with<T: Clone + Send + Sync + 'static>(
    value: T,
) -> impl Filter<Extract = (T,), Error = Infallible> + Clone {
    warp::any().map(move || value.clone())
}
