//! `GET /metrics`: all metrics in Prometheus' text format.

use chassis_http::{Endpoint, Problem, get, public};
use http::{HeaderValue, header};
use warp::reply::Response;

use super::super::state::Operations;

/// `GET /metrics`, on the public port or on `ADMIN_PORT`.
#[must_use]
pub fn metrics(operations: &Operations) -> Endpoint {
    get("/metrics", "Show the metrics", public())
        .probe()
        .responds_text(prometheus::TEXT_FORMAT)
        .with(operations.clone())
        .handler(handle)
}

async fn handle(operations: Operations) -> Result<Response, Problem> {
    let text = operations.metrics().map_err(Problem::internal)?;
    let mut response = Response::new(text.into());
    let media_type = HeaderValue::from_static(prometheus::TEXT_FORMAT);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}
