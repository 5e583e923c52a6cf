//! The endpoints for operators, one file each; the probes share one.

mod info;
mod metrics;
mod probes;

use chassis_http::Feature;

pub use self::metrics::metrics;
use super::state::Operations;
use crate::features::identity::Auth;

/// All endpoints except [`metrics()`], which can be served on a port of its own (`ADMIN_PORT`).
#[must_use]
pub fn endpoints(operations: &Operations, auth: &Auth) -> Feature {
    Feature {
        name: "operations",
        description: "Probes, version and metrics",
        endpoints: vec![
            probes::live(),
            probes::ready(operations),
            probes::health(operations),
            info::endpoint(operations, auth),
        ],
    }
}
