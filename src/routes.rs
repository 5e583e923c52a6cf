//! The routes: one line per feature.
//!
//! What is listed here is served, documented, printed by the `routes` command, and called by the tests that
//! look at every endpoint. The OpenAPI document begins with what is said here about the API as a whole.

use chassis_http::{
    Endpoint, Feature, Operation, ProblemType, Router,
    openapi::{self, ApiInfo, CredentialScheme, Tag},
    problem,
};
use utoipa::openapi::{
    OpenApi, Server,
    security::{Flow, Http, HttpAuthScheme, OAuth2, Password, Scopes, SecurityScheme},
};

// browser_sessions: begin
use utoipa::openapi::security::{ApiKey, ApiKeyValue};

use crate::features::browser_sessions::Cookies;
// browser_sessions: end
// api_keys: begin
use crate::features::api_keys::{KnownScopes, PREFIX};
// api_keys: end
use crate::{app::App, features, program::VERSION};

/// The features of the public listener.
#[must_use]
pub fn features(app: &App) -> Vec<Feature> {
    let mut operations = features::operations::endpoints(&app.operations, &app.auth);
    if !app.separate_metrics {
        operations
            .endpoints
            .push(features::operations::metrics(&app.operations));
    }
    let mut features = Vec::from(features::identity::endpoints(&app.auth));
    features.extend([
        // One line per feature, in the order of the documentation.
        features::recovery::endpoints(&app.recovery),
        operations,
        features::api_docs::endpoints(&app.documentation),
    ]);
    // api_keys: begin
    // No endpoint of keys has a scope, so all of them are known by now. Before the documentation.
    let scopes = KnownScopes::of(&features);
    let keys = features::api_keys::endpoints(&app.keys, &app.auth, &scopes);
    features.insert(features.len() - 1, keys);
    // api_keys: end
    features
}

// api_keys: begin
/// The scopes that keys may have.
#[must_use]
pub fn scopes(app: &App) -> KnownScopes {
    KnownScopes::of(&features(app))
}
// api_keys: end

/// The endpoints of the listener on `ADMIN_PORT`.
#[must_use]
pub fn admin(app: &App) -> Vec<Endpoint> {
    vec![features::operations::metrics(&app.operations)]
}

// jobs: begin
/// The endpoints of a process that only runs jobs, on `ADMIN_PORT`: probes, version and metrics.
#[must_use]
pub fn worker_router(app: &App) -> Router {
    let mut endpoints = features::operations::endpoints(&app.operations, &app.auth).endpoints;
    endpoints.extend(admin(app));
    app.serve(endpoints)
}
// jobs: end

/// The introduction of the OpenAPI document.
const INTRODUCTION: &str = "\
Times are RFC 3339 in UTC, ids are UUIDs. Every reply carries `X-Correlation-ID`: your own when you send \
1 to 64 of `A-Z a-z 0-9 . _ -`, else a new one. Every failure is `application/problem+json` (RFC 9457) with a \
stable `code`, explained at `/problems/{code}`. `HEAD` works wherever `GET` does, and `OPTIONS` lists the methods \
of an address. A field or query parameter that is not listed here is refused.";

/// The OpenAPI document, with the public address of the service where that is known.
#[must_use]
pub fn document(app: &App) -> OpenApi {
    document_of(app, &features(app))
}

fn document_of(app: &App, features: &[Feature]) -> OpenApi {
    let tags: Vec<_> = features
        .iter()
        .map(|feature| Tag {
            name: feature.name,
            description: feature.description,
            operations: feature.endpoints.iter().map(Endpoint::operation).collect(),
        })
        .collect();
    let credentials = vec![
        everywhere("bearer", bearer_scheme()),
        everywhere("password", password_scheme()),
    ];
    // browser_sessions: begin
    let mut credentials = credentials;
    let cookie = app.cookies.as_ref().map(Cookies::cookie_name);
    credentials.extend(cookie.map(|name| everywhere("cookie", cookie_scheme(name))));
    // browser_sessions: end
    // api_keys: begin
    let key = CredentialScheme {
        name: "key",
        scheme: key_scheme(&KnownScopes::of(features)),
        is_scoped: true,
    };
    let credentials = [credentials, vec![key]].concat();
    // api_keys: end
    let mut document = openapi::document(
        &ApiInfo {
            title: env!("CARGO_PKG_NAME"),
            version: VERSION,
            description: INTRODUCTION,
            license: Some("Unlicense"),
            credentials,
            problem_type_prefix: &app.http_options.problem_type_prefix,
        },
        &tags,
    );
    let public_url = app.public_url.as_ref();
    document.servers = public_url.map(|url| vec![Server::new(url.as_str())]);
    document
}

/// A way to prove who is calling that every endpoint takes which needs a caller.
fn everywhere(name: &'static str, scheme: SecurityScheme) -> CredentialScheme<'static> {
    CredentialScheme {
        name,
        scheme,
        is_scoped: false,
    }
}

// browser_sessions: begin
fn cookie_scheme(name: &'static str) -> SecurityScheme {
    let about = "Set by `POST /auth/token` with `\"transport\": \"cookie\"`, for browsers.";
    SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(name, about)))
}
// browser_sessions: end

// api_keys: begin
fn key_scheme(scopes: &KnownScopes) -> SecurityScheme {
    let mut http = Http::new(HttpAuthScheme::Bearer);
    http.bearer_format = Some(format!("{PREFIX}_…"));
    let all = scopes.as_slice().join("`, `");
    http.description = Some(format!(
        "An API key from `POST /auth/keys`. Only operations with a scope take it, and it has to have that one: `{all}`."
    ));
    SecurityScheme::Http(http)
}
// api_keys: end

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

/// The public router: every feature's endpoints, and the documentation written from them.
#[must_use]
pub fn router(app: &App) -> Router {
    router_with(app, Vec::new())
}

/// The public router with further endpoints, which are not documented: for tests.
///
/// # Panics
///
/// When the document does not serialize: it is made of strings.
#[must_use]
pub fn router_with(app: &App, further: Vec<Endpoint>) -> Router {
    let features = features(app);
    let json = document_of(app, &features).to_json();
    let json = json.expect("the document is made of strings");
    app.documentation.write(json, problems_of(&features));
    let mut endpoints: Vec<_> = features
        .into_iter()
        .flat_map(|feature| feature.endpoints)
        .collect();
    endpoints.extend(further);
    app.serve(endpoints)
}

/// The router of the listener on `ADMIN_PORT`.
#[must_use]
pub fn admin_router(app: &App) -> Router {
    app.serve(admin(app))
}

/// Every kind of problem that these features answer with, and those that the chassis does.
fn problems_of(features: &[Feature]) -> Vec<&'static ProblemType> {
    let operations = features
        .iter()
        .flat_map(|feature| &feature.endpoints)
        .map(Endpoint::operation);
    let own = operations.flat_map(Operation::problems).copied();
    let mut problems: Vec<&'static ProblemType> = own.chain(problem::COMMON).collect();
    problems.sort_by_key(|kind| kind.code);
    problems.dedup_by_key(|kind| kind.code);
    problems
}
