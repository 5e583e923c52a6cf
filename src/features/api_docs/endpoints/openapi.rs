//! `GET /openapi.json`: the OpenAPI document of all public endpoints.

use chassis_http::{Endpoint, get, public};
use http::{HeaderValue, header};
use warp::reply::Response;

use super::super::documentation::Documentation;

pub(super) fn endpoint(documentation: &Documentation) -> Endpoint {
    get("/openapi.json", "Describe the API", public())
        .exempt()
        .ignores_query()
        .responds_text("application/json")
        .with(documentation.clone())
        .handler(handle)
}

async fn handle(documentation: Documentation) -> Response {
    let mut response = Response::new(documentation.openapi().into());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
