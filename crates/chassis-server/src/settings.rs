//! The options of a server as settings.

use std::{net::Ipv6Addr, path::PathBuf, time::Duration};

use chassis_settings::{
    Declaration, Section, SettingError, Values, millis, number, optional, parse_with, path,
    settings,
};

use crate::{ListenAddress, ServerOptions};

settings! {
    /// address to listen on; 0.0.0.0 in a container
    pub HOST: String = "127.0.0.1", parse_with(
        parse_host,
        "an address or a host name, without a port, which is PORT; 0.0.0.0 or :: for every address",
    );

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

/// An address or a name; an IPv6 address may stand in brackets, as in a URL.
fn parse_host(text: &str) -> Option<String> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host = bracketed.unwrap_or(text);
    // An address that is valid on one link has the name of that behind a %.
    let address = host.split('%').next()?;
    let is_v6 = address.parse::<Ipv6Addr>().is_ok();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_usable = is_v6 || bracketed.is_none() && !host.is_empty() && host.bytes().all(is_name);
    is_usable.then(|| host.to_owned())
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
    fn an_ipv6_address_may_stand_in_brackets_and_nothing_may_have_a_port() {
        let host = |text| match read(&[("HOST", text)]).map(|options| options.listen) {
            Ok(ListenAddress::Tcp { host, .. }) => Some(host),
            _ => None,
        };

        for (text, expected) in [
            ("[::1]", "::1"),
            ("[::]", "::"),
            ("::1", "::1"),
            ("[fe80::1%eth0]", "fe80::1%eth0"),
            ("10.0.0.1", "10.0.0.1"),
            ("localhost", "localhost"),
            ("my_host.example.", "my_host.example."),
        ] {
            assert_eq!(host(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "*",
            "[::1]:8000",
            "127.0.0.1:8000",
            "localhost:8000",
            "[::1",
            "::1]",
            "[127.0.0.1]",
            "[]",
            "http://localhost",
            "a b",
            "0.0.0.0/0",
            ":::",
            "[localhost]",
        ] {
            assert_eq!(host(text), None, "{text}");
        }
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
