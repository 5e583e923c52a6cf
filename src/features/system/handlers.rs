//! Questions of operators and readers, turned into replies.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::{
    documentation::{self, Documentation},
    payloads::{HealthView, InfoView, StatusView},
    service::System,
};
use crate::{
    features::identity::Principal,
    web::{Problem, json},
};

pub(super) fn live() -> Response {
    json(StatusCode::OK, &StatusView { status: "ok" })
}

pub(super) async fn ready(system: System) -> Response {
    if system.is_ready().await {
        return json(StatusCode::OK, &StatusView { status: "ready" });
    }
    json(
        StatusCode::SERVICE_UNAVAILABLE,
        &StatusView {
            status: "not_ready",
        },
    )
}

pub(super) async fn health(system: System) -> Response {
    let health = system.health().await;
    let status = if health.is_good() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &HealthView::from(&health))
}

pub(super) fn info(_caller: Principal, system: System) -> Response {
    json(StatusCode::OK, &InfoView::from(system.facts()))
}

pub(super) async fn metrics(system: System) -> Result<Response, Problem> {
    let text = system.metrics().map_err(Problem::internal)?;
    let mut response = Response::new(text.into());
    let media_type = HeaderValue::from_static(prometheus::TEXT_FORMAT);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}

pub(super) fn openapi(documentation: Documentation) -> Response {
    let mut response = Response::new(documentation.openapi().into());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

pub(super) fn swagger(request: HeaderMap) -> Response {
    documentation::swagger(&request)
}

pub(super) fn redoc(request: HeaderMap) -> Response {
    documentation::redoc(&request)
}

pub(super) async fn asset(name: String, request: HeaderMap) -> Result<Response, Problem> {
    documentation::asset(&name, &request).ok_or_else(Problem::not_found)
}

pub(super) async fn problem(
    code: String,
    documentation: Documentation,
) -> Result<Response, Problem> {
    let kind = documentation
        .problem(&code)
        .ok_or_else(Problem::not_found)?;
    Ok(documentation::problem_page(kind))
}
