//! The documentation of the API: the OpenAPI document, Swagger UI, `ReDoc`, and a page for each type of problem.
//!
//! Endpoints: `/openapi.json`, `/docs`, `/redoc`, `/problems/{code}`.

mod assets;
mod documentation;
mod endpoints;

pub use self::{documentation::Documentation, endpoints::endpoints};
