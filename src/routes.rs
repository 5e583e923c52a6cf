//! The routes: one line per feature.
//!
//! What is listed here is served, documented, printed by the `routes` command, and called by the tests that
//! look at every endpoint. The OpenAPI document begins with what is said here about the API as a whole.

use utoipa::openapi::{
    OpenApi, Server,
    security::{Flow, Http, HttpAuthScheme, OAuth2, Password, Scopes, SecurityScheme},
};

use crate::{
    app::App,
    features::{api_docs, api_docs::Documentation, identity, operations},
    telemetry::VERSION,
    web::{
        Endpoint, Feature, Operation, PROBLEM_TYPE_PREFIX, ProblemType, PublicUrl,
        openapi::{self, ApiInfo, Tag},
        problem,
    },
};

/// The features of the public listener.
#[must_use]
pub fn features(app: &App, separate_metrics: bool) -> Vec<Feature> {
    let mut operations = operations::endpoints(&app.operations, &app.auth);
    if !separate_metrics {
        operations
            .endpoints
            .push(operations::metrics(&app.operations));
    }
    let mut features = Vec::from(identity::endpoints(&app.auth));
    features.extend([operations, api_docs::endpoints(&app.documentation)]);
    features
}

/// The endpoints of the listener on `ADMIN_PORT`.
#[must_use]
pub fn admin(app: &App) -> Vec<Endpoint> {
    vec![operations::metrics(&app.operations)]
}

/// The introduction of the OpenAPI document.
const INTRODUCTION: &str = "\
Times are RFC 3339 in UTC, ids are UUIDs. Every reply carries `X-Correlation-ID`: your own when you send \
1 to 64 of `A-Z a-z 0-9 . _ -`, else a new one. Every failure is `application/problem+json` (RFC 9457) with a \
stable `code`, explained at `/problems/{code}`. `HEAD` works wherever `GET` does, and `OPTIONS` lists the methods \
of an address. A field or query parameter that is not listed here is refused.";

/// The OpenAPI document of these features, with the address of the service where that is known.
#[must_use]
pub fn document(features: &[Feature], public_url: Option<&PublicUrl>) -> OpenApi {
    let features: Vec<_> = features
        .iter()
        .map(|feature| Tag {
            name: feature.name,
            description: feature.description,
            operations: feature.endpoints.iter().map(Endpoint::operation).collect(),
        })
        .collect();
    let mut document = openapi::document(
        &ApiInfo {
            title: env!("CARGO_PKG_NAME"),
            version: VERSION,
            description: INTRODUCTION,
            license: Some("Unlicense"),
            security_schemes: vec![("bearer", bearer_scheme()), ("password", password_scheme())],
            problem_type_prefix: PROBLEM_TYPE_PREFIX,
        },
        &features,
    );
    document.servers = public_url.map(|url| vec![Server::new(url.as_str())]);
    document
}

fn bearer_scheme() -> SecurityScheme {
    let mut http = Http::new(HttpAuthScheme::Bearer);
    http.bearer_format = Some("JWT".to_owned());
    http.description = Some("An access token from `POST /auth/token`.".to_owned());
    SecurityScheme::Http(http)
}

fn password_scheme() -> SecurityScheme {
    let flow = Flow::Password(Password::new("/auth/token", Scopes::new()));
    SecurityScheme::OAuth2(OAuth2::with_description(
        [flow],
        "Sign in with e-mail and password; leave client id and secret empty.",
    ))
}

/// Writes the OpenAPI document and the list of problems of these features.
///
/// # Panics
///
/// When the document does not serialize: it is made of strings.
pub fn write_documentation(
    features: &[Feature],
    public_url: Option<&PublicUrl>,
    documentation: &Documentation,
) {
    let json = document(features, public_url)
        .to_json()
        .expect("the document is made of strings");
    let operations = features
        .iter()
        .flat_map(|feature| &feature.endpoints)
        .map(Endpoint::operation);
    let own = operations.flat_map(Operation::problems).copied();
    let mut problems: Vec<&'static ProblemType> = own.chain(problem::COMMON).collect();
    problems.sort_by_key(|kind| kind.code);
    problems.dedup_by_key(|kind| kind.code);
    documentation.write(json, problems);
}
