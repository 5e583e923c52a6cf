//! What this service adds to [`chassis_server`]: its settings, and what they are called in error messages.

mod settings;

use std::io;

pub use chassis_server::*;

pub use self::settings::ServerSettings;

impl From<&ServerSettings> for ServerOptions {
    fn from(settings: &ServerSettings) -> Self {
        let listen = match &settings.listen_socket {
            Some(path) => ListenAddress::Unix(path.clone()),
            None => ListenAddress::Tcp {
                host: settings.host.clone(),
                port: settings.port,
            },
        };
        Self {
            listen,
            header_timeout: settings.header_timeout,
            shutdown_timeout: settings.shutdown_timeout,
            max_connections: settings.max_connections,
            ..Self::default()
        }
    }
}

/// Opens the listener of these settings.
///
/// # Errors
///
/// The operating system's, naming the address, and the setting to change when another process listens there.
pub async fn bind(settings: &ServerSettings) -> io::Result<Listener> {
    let options = ServerOptions::from(settings);
    Listener::bind(&options.listen).await.map_err(|error| {
        let is_port = matches!(options.listen, ListenAddress::Tcp { .. });
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
