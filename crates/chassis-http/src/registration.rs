//! Registering metrics: what the metrics of requests and those of rate limits share.

use prometheus::{Registry, core::Collector};

/// Registers a family of metrics and returns it.
///
/// # Panics
///
/// When its name is taken, or name, labels or buckets are invalid.
pub(crate) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<C>,
) -> C {
    let family = family.expect("names, labels and buckets are valid");
    registry
        .register(Box::new(family.clone()))
        .expect("each family is registered once");
    family
}
