//! The endpoints of the documentation, one file each; the static pages share one.

mod openapi;
mod pages;
mod problem;

use chassis_http::Feature;

use super::documentation::Documentation;

/// All endpoints of this feature.
#[must_use]
pub fn endpoints(documentation: &Documentation) -> Feature {
    Feature {
        name: "api_docs",
        description: "Documentation of this API",
        endpoints: vec![
            openapi::endpoint(documentation),
            pages::docs(),
            pages::asset("/docs/{asset}"),
            pages::redoc(),
            pages::asset("/redoc/{asset}"),
            problem::endpoint(documentation),
        ],
    }
}
