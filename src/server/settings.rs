//! Addresses, limits and timeouts of the listener.

use std::{path::PathBuf, time::Duration};

use crate::config::{Section, Setting, SettingError, Values};

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
    const SETTINGS: &'static [Setting] = &[
        Setting::new(
            "HOST",
            "127.0.0.1",
            "address to listen on; 0.0.0.0 in a container",
        ),
        Setting::new("PORT", "8000", "port to listen on; 0 takes a free one"),
        Setting::new(
            "LISTEN_SOCKET",
            "",
            "path of a unix socket to listen on, instead of TCP",
        ),
        Setting::new(
            "ADMIN_PORT",
            "",
            "when set, /metrics moves to this port and leaves the public one",
        ),
        Setting::new(
            "HEADER_TIMEOUT_MS",
            "10000",
            "how long a request's head may take, and a connection may stay silent",
        ),
        Setting::new(
            "SHUTDOWN_TIMEOUT_MS",
            "30000",
            "how long requests in flight have to finish once the listener is closed",
        ),
        Setting::new(
            "SHUTDOWN_DELAY_MS",
            "0",
            "how long to go on listening once /ready says no",
        ),
        Setting::new(
            "MAX_CONNECTIONS",
            "10000",
            "at the cap the oldest connection without a request in flight is dropped",
        ),
    ];

    fn read(values: &Values) -> Result<Self, SettingError> {
        let port = values.number("PORT", 0, u16::MAX)?;
        let listen_socket = values.text("LISTEN_SOCKET").map(PathBuf::from);
        let admin_port = values.optional("ADMIN_PORT", "a port")?;
        if port != 0 && admin_port == Some(port) && listen_socket.is_none() {
            return Err(values.unusable("ADMIN_PORT", "another port than PORT"));
        }
        Ok(Self {
            host: values.get("HOST", "an address")?,
            port,
            listen_socket,
            admin_port,
            header_timeout: values.millis("HEADER_TIMEOUT_MS", 1)?,
            shutdown_timeout: values.millis("SHUTDOWN_TIMEOUT_MS", 1)?,
            shutdown_delay: values.millis("SHUTDOWN_DELAY_MS", 0)?,
            max_connections: values.number("MAX_CONNECTIONS", 1, 1_000_000)?,
        })
    }
}
