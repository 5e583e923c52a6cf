//! What is the same for every request, whichever endpoint it is for.

mod bodies;
mod correlation;
mod dropped_clients;
mod headers;
// api_keys: begin
mod keys;
// api_keys: end
mod logs;
mod metrics;
mod openapi;
mod panics;
mod propagation;
mod reference;
mod roles;
mod routing;
mod timeouts;

use std::sync::Arc;

use chassis_http::{Endpoint, Operation, get, public};
use http::StatusCode;
use tokio::sync::Notify;
use warp::reply::{Reply, Response};
use warp_skeleton::routes;

use crate::support::TestApp;

/// What is stated about each endpoint of the service.
fn operations(app: &TestApp) -> Vec<Operation> {
    let features = routes::features(&app.app);
    let endpoints = features.iter().flat_map(|feature| &feature.endpoints);
    endpoints
        .map(|endpoint| endpoint.operation().clone())
        .collect()
}

/// A path of this template, with an id that nothing has where it takes a value.
fn path_of(template: &str) -> String {
    let id = "019a0000-0000-7000-8000-000000000000";
    let parts = template.split('/');
    let filled = parts.map(|part| if part.starts_with('{') { id } else { part });
    filled.collect::<Vec<_>>().join("/")
}

/// `GET /slow`: says that it has begun, and never answers.
fn slow_endpoint(begun: &Arc<Notify>) -> Endpoint {
    let begun = Arc::clone(begun);
    get("/slow", "Never answer", public())
        .with(begun)
        .handler(begin_and_wait)
}

async fn begin_and_wait(begun: Arc<Notify>) -> Response {
    begun.notify_one();
    std::future::pending().await
}

/// `GET /panic`: panics.
fn panicking_endpoint() -> Endpoint {
    get("/panic", "Panic", public()).handler(panic_on_purpose)
}

async fn panic_on_purpose() -> Response {
    let fine = StatusCode::OK.is_server_error();
    assert!(fine, "this handler panics on purpose");
    StatusCode::OK.into_response()
}

/// The value of a metric by its whole name, labels included.
fn value_of(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series))?;
    line.trim().parse().ok()
}
