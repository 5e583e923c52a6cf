//! One documented endpoint, and the OpenAPI document of it, on a plain hyper server.
//!
//! ```sh
//! cargo run -p chassis-http --example greeter
//! curl -i localhost:8000/greetings/Ada?loud=true
//! curl -i localhost:8000/greetings/Ada?shout=true
//! curl localhost:8000/openapi.json
//! ```

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use chassis_http::{
    Endpoint, HttpMetrics, HttpOptions, Problem, Router, get, json,
    openapi::{self, ApiInfo, Tag},
    public,
};
use http::StatusCode;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use utoipa::{IntoParams, ToSchema};
use warp::reply::Response;

/// The query of the endpoint. Other parameters are refused.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Style {
    /// Whether to use capital letters.
    #[serde(default)]
    loud: bool,
}

/// A greeting.
#[derive(Debug, Serialize, ToSchema)]
struct Greeting {
    text: String,
}

async fn greet(name: String, style: Style) -> Result<Response, Problem> {
    let text = format!("Hello, {name}!");
    let text = if style.loud {
        text.to_uppercase()
    } else {
        text
    };
    Ok(json(StatusCode::OK, &Greeting { text }))
}

async fn show_document(document: Arc<str>) -> Result<Response, Problem> {
    Ok(Response::new(document.as_bytes().to_vec().into()))
}

/// The document of these endpoints.
fn document(endpoints: &[Endpoint], options: &HttpOptions) -> serde_json::Result<Arc<str>> {
    let info = ApiInfo {
        title: "Greeter",
        version: env!("CARGO_PKG_VERSION"),
        description: "Greets by name.",
        license: None,
        security_schemes: Vec::new(),
        problem_type_prefix: &options.problem_type_prefix,
    };
    let tag = Tag {
        name: "greetings",
        description: "Greet people",
        operations: endpoints.iter().map(Endpoint::operation).collect(),
    };
    let document = openapi::document(&info, &[tag]).to_json()?;
    Ok(document.into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let greet = get("/greetings/{name}", "Greet a person", public())
        .path_value::<String>("Who to greet")
        .query::<Style>()
        .responds::<Greeting>(StatusCode::OK)
        .handler(greet);
    let mut endpoints = vec![greet];
    let options = HttpOptions::default();
    let show_document = get("/openapi.json", "Describe the API", public())
        .exempt()
        .with(document(&endpoints, &options)?)
        .handler(show_document);
    endpoints.push(show_document);

    let metrics = HttpMetrics::new(&prometheus::Registry::new());
    let router = Arc::new(Router::new(endpoints, options, metrics));
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 8000))).await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        let router = Arc::clone(&router);
        let service = service_fn(move |request| {
            let router = Arc::clone(&router);
            async move { Ok::<_, Infallible>(router.respond(request, Some(peer.ip())).await) }
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}
