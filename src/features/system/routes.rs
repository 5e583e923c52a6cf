//! The endpoints for operators and readers.

use http::{Method, StatusCode};
use warp::Filter;

use super::{
    documentation::Documentation,
    handlers,
    payloads::{HealthView, InfoView, StatusView},
    service::System,
};
use crate::{
    features::identity::{Auth, Role, require},
    web::{Endpoint, Feature, anyone, endpoint, openapi, with},
};

/// Every endpoint of this room, except [`metrics`].
#[must_use]
pub fn endpoints(system: &System, documentation: &Documentation, auth: &Auth) -> Feature {
    Feature {
        name: "system",
        description: "Probes, facts and documentation",
        endpoints: vec![
            live(),
            ready(system.clone()),
            health(system.clone()),
            info(system.clone(), auth),
            openapi(documentation.clone()),
            docs(),
            asset("/docs/{asset}"),
            redoc(),
            asset("/redoc/{asset}"),
            problem(documentation.clone()),
        ],
    }
}

/// `GET /live`: the process runs.
fn live() -> Endpoint {
    endpoint(
        Method::GET,
        "/live",
        "Say whether the process runs",
        anyone(),
    )
    .exempt()
    .replies::<StatusView>(StatusCode::OK)
    .handled_by(|request| request.map(handlers::live))
}

/// `GET /ready`: it takes traffic.
fn ready(system: System) -> Endpoint {
    let unready = openapi::json_reply::<StatusView>(StatusCode::SERVICE_UNAVAILABLE);
    endpoint(
        Method::GET,
        "/ready",
        "Say whether this replica takes traffic",
        anyone(),
    )
    .exempt()
    .replies::<StatusView>(StatusCode::OK)
    .replies_by(StatusCode::SERVICE_UNAVAILABLE, unready)
    .handled_by(|request| request.and(with(system)).then(handlers::ready))
}

/// `GET /health`: what it depends on is well.
fn health(system: System) -> Endpoint {
    let unwell = openapi::json_reply::<HealthView>(StatusCode::SERVICE_UNAVAILABLE);
    endpoint(
        Method::GET,
        "/health",
        "Look at the database and its schema",
        anyone(),
    )
    .exempt()
    .replies::<HealthView>(StatusCode::OK)
    .replies_by(StatusCode::SERVICE_UNAVAILABLE, unwell)
    .handled_by(|request| request.and(with(system)).then(handlers::health))
}

/// `GET /info`: what is running.
fn info(system: System, auth: &Auth) -> Endpoint {
    endpoint(
        Method::GET,
        "/info",
        "Say what is running",
        require(Role::Member, auth),
    )
    .replies::<InfoView>(StatusCode::OK)
    .handled_by(|request| request.and(with(system)).map(handlers::info))
}

/// `GET /metrics`: for Prometheus; on a port of its own when there is one.
#[must_use]
pub fn metrics(system: &System) -> Endpoint {
    let system = system.clone();
    endpoint(Method::GET, "/metrics", "Show the metrics", anyone())
        .exempt()
        .replies_text(prometheus::TEXT_FORMAT)
        .handled_by(|request| request.and(with(system)).then(handlers::metrics))
}

/// `GET /openapi.json`: this document.
fn openapi(documentation: Documentation) -> Endpoint {
    endpoint(Method::GET, "/openapi.json", "Describe the API", anyone())
        .exempt()
        .replies_text("application/json")
        .handled_by(|request| request.and(with(documentation)).map(handlers::openapi))
}

/// `GET /docs`: Swagger UI.
fn docs() -> Endpoint {
    endpoint(Method::GET, "/docs", "Try the API out", anyone())
        .exempt()
        .replies_text("text/html")
        .replies_empty(StatusCode::NOT_MODIFIED)
        .handled_by(|request| {
            request
                .and(warp::header::headers_cloned())
                .map(handlers::swagger)
        })
}

/// `GET /redoc`: ReDoc.
fn redoc() -> Endpoint {
    endpoint(Method::GET, "/redoc", "Read about the API", anyone())
        .exempt()
        .replies_text("text/html")
        .replies_empty(StatusCode::NOT_MODIFIED)
        .handled_by(|request| {
            request
                .and(warp::header::headers_cloned())
                .map(handlers::redoc)
        })
}

/// The scripts and styles of the two pages.
fn asset(template: &'static str) -> Endpoint {
    endpoint(
        Method::GET,
        template,
        "Fetch a part of the documentation",
        anyone(),
    )
    .exempt()
    .path_value::<String>("The name of the file")
    .replies_text("*/*")
    .replies_empty(StatusCode::NOT_MODIFIED)
    .handled_by(|request| {
        request
            .and(warp::header::headers_cloned())
            .then(handlers::asset)
    })
}

/// `GET /problems/{code}`: what a code means.
fn problem(documentation: Documentation) -> Endpoint {
    endpoint(
        Method::GET,
        "/problems/{code}",
        "Explain a problem's code",
        anyone(),
    )
    .exempt()
    .path_value::<String>("The code")
    .replies_text("text/html")
    .handled_by(|request| request.and(with(documentation)).then(handlers::problem))
}
