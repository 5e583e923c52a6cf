//! What operators ask: is it alive, is it well, what is it, what does it do.
//!
//! Also what its users read: the OpenAPI document, two ways to look at it, and
//! a page for each kind of problem.
//!
//! Endpoints: `/live`, `/ready`, `/health`, `/info`, `/metrics`,
//! `/openapi.json`, `/docs`, `/redoc`, `/problems/{code}`.

mod documentation;
mod handlers;
mod payloads;
mod readiness;
mod routes;
mod service;

pub use self::{
    documentation::Documentation,
    readiness::Lifecycle,
    routes::{endpoints, metrics},
    service::{Facts, Health, System},
};
