//! The site map: one line per room.
//!
//! What is listed here is served, documented, printed by `routes`, and gone
//! through by the tests that look at every endpoint.

use utoipa::openapi::OpenApi;

use crate::{
    app::App,
    features::{api_docs, api_docs::Documentation, identity, operations},
    telemetry::VERSION,
    web::{
        Endpoint, Feature, Operation, ProblemType,
        openapi::{self, Tag},
        problem,
    },
};

/// Every room that is open to the public.
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

/// What is served on `ADMIN_PORT`.
#[must_use]
pub fn admin(app: &App) -> Vec<Endpoint> {
    vec![operations::metrics(&app.operations)]
}

/// The OpenAPI document of these rooms.
#[must_use]
pub fn document(features: &[Feature]) -> OpenApi {
    let features: Vec<_> = features
        .iter()
        .map(|feature| Tag {
            name: feature.name,
            description: feature.description,
            operations: feature.endpoints.iter().map(Endpoint::operation).collect(),
        })
        .collect();
    openapi::document(env!("CARGO_PKG_NAME"), VERSION, &features)
}

/// Writes down what these rooms are and how they may fail.
///
/// # Panics
///
/// When the document does not serialize: it is made of strings.
pub fn write_documentation(features: &[Feature], documentation: &Documentation) {
    let json = document(features)
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
