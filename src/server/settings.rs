//! Addresses, limits and timeouts of the listener.

use std::{path::PathBuf, time::Duration};

use chassis_settings::{
    Declaration, Section, SettingError, Values, millis, number, optional, parsed, path, settings,
    text,
};

settings! {
    /// address to listen on; 0.0.0.0 in a container
    HOST: String = "127.0.0.1", text("an address");

    /// port to listen on; 0 takes a free one
    PORT: u16 = "8000", number(0..=u16::MAX);

    /// path of a unix socket to listen on, instead of TCP
    LISTEN_SOCKET: Option<PathBuf>, optional(path("the path of a socket"));

    /// when set, /metrics moves to this port and leaves the public one
    ADMIN_PORT: Option<u16>, optional(parsed("a port"));

    /// how long a request's head may take, and a connection may stay silent
    HEADER_TIMEOUT_MS: Duration = "10000", millis(1);

    /// how long requests in flight have to finish once the listener is closed
    SHUTDOWN_TIMEOUT_MS: Duration = "30000", millis(1);

    /// how long to go on listening once /ready says no
    SHUTDOWN_DELAY_MS: Duration = "0", millis(0);

    /// at the cap the oldest connection without a request in flight is dropped
    MAX_CONNECTIONS: usize = "10000", number(1..=1_000_000);
}

/// Where to listen, and how much to bear.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Host name or address.
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// A unix socket instead of TCP.
    pub listen_socket: Option<PathBuf>,
    /// A port of its own for `/metrics`.
    pub admin_port: Option<u16>,
    /// How long a request's head may take, and a connection may do nothing.
    pub header_timeout: Duration,
    /// How long requests in flight and telemetry have to finish.
    pub shutdown_timeout: Duration,
    /// How long to go on taking traffic once `/ready` says no.
    pub shutdown_delay: Duration,
    /// How many connections at once.
    pub max_connections: usize,
}

impl ServerSettings {
    /// The same for the listener of `ADMIN_PORT`, when there is one.
    #[must_use]
    pub fn for_operators(&self) -> Option<Self> {
        let port = self.admin_port?;
        Some(Self {
            port,
            listen_socket: None,
            admin_port: None,
            ..self.clone()
        })
    }
}

impl Section for ServerSettings {
    const TITLE: &'static str = "Server";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        let port = values.read(&PORT)?;
        let listen_socket = values.read(&LISTEN_SOCKET)?;
        let admin_port = values.read(&ADMIN_PORT)?;
        if port != 0 && admin_port == Some(port) && listen_socket.is_none() {
            return Err(values.unusable(&ADMIN_PORT, "another port than PORT"));
        }
        Ok(Self {
            host: values.read(&HOST)?,
            port,
            listen_socket,
            admin_port,
            header_timeout: values.read(&HEADER_TIMEOUT_MS)?,
            shutdown_timeout: values.read(&SHUTDOWN_TIMEOUT_MS)?,
            shutdown_delay: values.read(&SHUTDOWN_DELAY_MS)?,
            max_connections: values.read(&MAX_CONNECTIONS)?,
        })
    }
}
