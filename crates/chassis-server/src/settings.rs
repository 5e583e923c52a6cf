//! The options of a server as settings.

use std::{path::PathBuf, time::Duration};

use chassis_settings::{
    Declaration, Section, SettingError, Values, millis, number, optional, path, settings, text,
};

use crate::{ListenAddress, ServerOptions};

settings! {
    /// address to listen on; 0.0.0.0 in a container
    pub HOST: String = "127.0.0.1", text("an address");

    /// port to listen on; 0 takes a free one
    PORT: u16 = "8000", number(0..=u16::MAX);

    /// path of a unix socket to listen on, instead of TCP
    LISTEN_SOCKET: Option<PathBuf>, optional(path("the path of a socket"));

    /// how long a request's head may take
    HEADER_TIMEOUT_MS: Duration = "10000", millis(1);

    /// how long a reply may wait for a client that takes nothing of it; per stream in HTTP/2
    SEND_TIMEOUT_MS: Duration = "30000", millis(1);

    /// how long a connection is kept without a request; longer than the proxy in front keeps its own
    IDLE_TIMEOUT_MS: Duration = "75000", millis(1);

    /// how long requests in flight have to finish once the listener is closed
    SHUTDOWN_TIMEOUT_MS: Duration = "30000", millis(1);

    /// at the cap the oldest connection that makes no progress is dropped; lowered to what the limit of open files allows
    MAX_CONNECTIONS: usize = "10000", number(1..=1_000_000);

    /// the same per client network (an IPv4 address, an IPv6 /64); TRUSTED_PROXIES are not limited
    MAX_CONNECTIONS_PER_CLIENT: usize = "1000", number(1..=1_000_000);
}

impl Section for ServerOptions {
    const TITLE: &'static str = "Server";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        let listen = match values.read(&LISTEN_SOCKET)? {
            Some(path) => ListenAddress::Unix(path),
            None => ListenAddress::Tcp {
                host: values.read(&HOST)?,
                port: values.read(&PORT)?,
            },
        };
        Ok(Self {
            listen,
            header_timeout: values.read(&HEADER_TIMEOUT_MS)?,
            send_timeout: values.read(&SEND_TIMEOUT_MS)?,
            idle_timeout: values.read(&IDLE_TIMEOUT_MS)?,
            shutdown_timeout: values.read(&SHUTDOWN_TIMEOUT_MS)?,
            max_connections: values.read(&MAX_CONNECTIONS)?,
            max_connections_per_client: values.read(&MAX_CONNECTIONS_PER_CLIENT)?,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use chassis_settings::Catalogue;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<ServerOptions, SettingError> {
        let catalogue = Catalogue::new().section::<ServerOptions>();
        ServerOptions::read(&catalogue.load_pairs(pairs.iter().copied()).unwrap())
    }

    #[test]
    fn the_defaults_are_those_of_the_options() {
        assert_eq!(read(&[]).unwrap(), ServerOptions::default());
    }

    #[test]
    fn host_and_port_are_an_address() {
        let options = read(&[("HOST", "0.0.0.0"), ("PORT", "0")]).unwrap();

        let host = "0.0.0.0".to_owned();
        assert_eq!(options.listen, ListenAddress::Tcp { host, port: 0 });
    }

    #[test]
    fn a_unix_socket_wins_over_host_and_port() {
        let pairs = [
            ("LISTEN_SOCKET", "/run/notes.sock"),
            ("HOST", "0.0.0.0"),
            ("PORT", "80"),
        ];
        let options = read(&pairs).unwrap();

        let path = PathBuf::from("/run/notes.sock");
        assert_eq!(options.listen, ListenAddress::Unix(path));
    }

    #[test]
    fn a_port_has_16_bits() {
        let error = read(&[("PORT", "65536")]).unwrap_err();

        assert_eq!(
            error.to_string(),
            "PORT (from the environment): expected a whole number from 0 to 65535"
        );
    }
}
