//! What operators need: probes, the state of the dependencies, what is running, and metrics.
//!
//! Endpoints: `/live`, `/ready`, `/health`, `/info`, `/metrics`.

mod endpoints;
mod health;
mod lifecycle;
mod metrics_text;
mod shared_check;
mod state;

pub use self::{
    endpoints::{endpoints, metrics},
    lifecycle::Lifecycle,
    state::Operations,
};
