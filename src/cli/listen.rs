//! Opening the listener, for `serve` and for `doctor`, which tries whether it could be opened.

use std::io;

use chassis_server::{ListenAddress, Listener};

/// Opens a listener on this address.
///
/// # Errors
///
/// The operating system's, naming the address, and the setting to change when another process listens there.
pub(super) async fn bind(address: &ListenAddress) -> io::Result<Listener> {
    Listener::bind(address).await.map_err(|error| {
        let is_port = matches!(address, ListenAddress::Tcp { .. });
        if !is_port || error.kind() != io::ErrorKind::AddrInUse {
            return error;
        }
        io::Error::new(
            error.kind(),
            format!(
                "{error}; something listens there already: stop it, or set PORT (or ADMIN_PORT) to another, as in `PORT=8001 make dev`"
            ),
        )
    })
}
