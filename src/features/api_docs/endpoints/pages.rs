//! `GET /docs`, `GET /redoc` and the scripts and styles of both pages.

use chassis_http::{Endpoint, Problem, get, public};
use http::{HeaderMap, StatusCode};
use warp::{Filter, reply::Response};

use super::super::assets;

/// `GET /docs`: Swagger UI.
pub(super) fn docs() -> Endpoint {
    get("/docs", "Try the API out", public())
        .exempt()
        .ignores_query()
        .extract(warp::header::headers_cloned().boxed())
        .responds_text("text/html")
        .responds_empty(StatusCode::NOT_MODIFIED)
        .handler(handle_docs)
}

async fn handle_docs(headers: HeaderMap) -> Response {
    assets::swagger(&headers)
}

/// `GET /redoc`: `ReDoc`.
pub(super) fn redoc() -> Endpoint {
    get("/redoc", "Read about the API", public())
        .exempt()
        .ignores_query()
        .extract(warp::header::headers_cloned().boxed())
        .responds_text("text/html")
        .responds_empty(StatusCode::NOT_MODIFIED)
        .handler(handle_redoc)
}

async fn handle_redoc(headers: HeaderMap) -> Response {
    assets::redoc(&headers)
}

/// A script or stylesheet; both pages refer to theirs relative to their own path.
pub(super) fn asset(template: &'static str) -> Endpoint {
    get(template, "Fetch a part of the documentation", public())
        .exempt()
        .ignores_query()
        .path_value::<String>("The name of the file")
        .extract(warp::header::headers_cloned().boxed())
        .responds_text("*/*")
        .responds_empty(StatusCode::NOT_MODIFIED)
        .handler(handle_asset)
}

async fn handle_asset(name: String, headers: HeaderMap) -> Result<Response, Problem> {
    assets::find(&name, &headers).ok_or_else(Problem::not_found)
}
