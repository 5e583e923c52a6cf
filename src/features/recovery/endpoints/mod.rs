//! The endpoints, one file each; the built-in pages share one.

mod change_email;
mod forgot;
mod pages;
mod reset;
mod send_reset;
mod send_verification;
mod show_verification;
mod verify;

use chassis_http::{Endpoint, Feature};

use super::Recovery;

/// Every endpoint of this feature.
#[must_use]
pub fn endpoints(recovery: &Recovery) -> Feature {
    let mut endpoints: Vec<Endpoint> = vec![
        forgot::endpoint(recovery),
        reset::endpoint(recovery),
        verify::endpoint(recovery),
        show_verification::endpoint(recovery),
        send_verification::endpoint(recovery),
        change_email::endpoint(recovery),
        send_reset::endpoint(recovery),
    ];
    endpoints.extend(pages::endpoints());
    Feature {
        name: "recovery",
        description: "Forgotten passwords and verified addresses, by mail",
        endpoints,
    }
}
