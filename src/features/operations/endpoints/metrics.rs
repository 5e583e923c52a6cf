//! `GET /metrics`: all metrics in Prometheus' text format.

use chassis_http::{Endpoint, Problem, get, public};
use http::{HeaderValue, header};
use warp::reply::Response;

use super::super::state::Operations;

/// The text format of Prometheus (`prometheus::TEXT_FORMAT`), with the character set it is in.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`, on the public port or on `ADMIN_PORT`.
#[must_use]
pub fn metrics(operations: &Operations) -> Endpoint {
    get("/metrics", "Show the metrics", public())
        .probe()
        .responds_text(TEXT_FORMAT)
        .with(operations.clone())
        .handler(handle)
}

async fn handle(operations: Operations) -> Result<Response, Problem> {
    let text = operations.metrics_text().map_err(Problem::internal)?;
    let mut response = Response::new(text.into());
    let media_type = HeaderValue::from_static(TEXT_FORMAT);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}
