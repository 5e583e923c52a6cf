//! Where a database is and how much TLS is asked for.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use rustls::pki_types::ServerName;
use tokio_postgres::config::{Config, Host, SslMode};

use crate::connection_string;

/// How much of TLS is asked for, in libpq's words for `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS if the server offers it; its certificate is not checked.
    Prefer,
    /// TLS or no connection; the certificate is not checked.
    Require,
    /// TLS or no connection; the certificate has to be valid for the host name.
    VerifyFull,
}

/// A text that is no [`TlsMode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", TlsMode::EXPECTED)]
pub struct UnknownTlsMode;

impl TlsMode {
    /// The texts that can be parsed, for an error message.
    pub const EXPECTED: &'static str = "disable, prefer, require or verify-full";
}

impl FromStr for TlsMode {
    type Err = UnknownTlsMode;

    fn from_str(text: &str) -> Result<Self, UnknownTlsMode> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(UnknownTlsMode),
        }
    }
}

/// One way to reach a database.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionTarget {
    /// What the driver needs. Its `Debug` hides the password.
    pub config: Config,
    /// How much of TLS is asked for.
    pub tls: TlsMode,
    /// The certificates to trust instead of the system's, in PEM; read with [`TlsMode::VerifyFull`] only.
    pub root_certificates: Option<PathBuf>,
}

/// What a target gets that its URL does not state.
#[derive(Debug, Clone)]
pub struct ConnectionDefaults {
    /// The name that `pg_stat_activity` shows.
    pub application_name: String,
    /// How long one attempt to reach one host may take.
    pub connect_timeout: Duration,
    /// How much of TLS is asked for.
    pub tls: TlsMode,
    /// The certificates to trust instead of the system's, in PEM.
    pub root_certificates: Option<PathBuf>,
}

impl Default for ConnectionDefaults {
    /// No name, 2 s to connect, TLS if the server offers it, the system's certificates.
    fn default() -> Self {
        Self {
            application_name: String::new(),
            connect_timeout: Duration::from_secs(2),
            tls: TlsMode::Prefer,
            root_certificates: None,
        }
    }
}

/// Why a connection cannot be made as it was described. No text of it is quoted, which may be a part of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidTarget {
    /// It is neither a URL nor a list of `key=value`.
    Malformed,
    /// A URL with an `@` that separates nothing.
    AtSign,
    /// A parameter has a value that it cannot have.
    Value(&'static str),
    /// A parameter is known in lower case only.
    UpperCase(&'static str),
    /// A parameter is one of another program.
    Foreign {
        /// Its name.
        name: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A parameter is not known.
    Unknown {
        /// Its place among the parameters, counted from 1.
        place: usize,
    },
    /// A parameter is there twice.
    Repeated(&'static str),
    /// `sslmode` is not one of the [modes](TlsMode).
    TlsMode,
    /// There is neither `host` nor `hostaddr`.
    NoHost,
    /// A host is neither a name that a certificate can be for, nor an address, nor a folder.
    Host,
    /// `host`, `hostaddr` and `port` differ in number.
    Counts,
    /// `hostaddr` beside the folder of a unix socket.
    AddressBesideFolder,
    /// There are certificates to trust, but no mode that checks any.
    UncheckedCertificates,
}

impl InvalidTarget {
    /// What would have been right, to stand behind "expected".
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Malformed => {
                "a URL like postgres://role:password@host:5432/database; what is special in it, like / ? # & % and blanks, is written %2F %3F %23 %26 %25 %20".to_owned()
            }
            Self::AtSign => {
                "one @, between role and host; one in a password or elsewhere is written %40".to_owned()
            }
            Self::Value(name) => format!("another value for the parameter {name}"),
            Self::UpperCase(name) => format!("the parameter {name} in lower case"),
            Self::Foreign { name, instead } => format!("no parameter {name}: {instead}"),
            Self::Unknown { place } => format!(
                "parameters of the driver; number {place} is none (an & or = in a password is written %26 or %3D)"
            ),
            Self::Repeated(name) => format!("the parameter {name} once"),
            Self::TlsMode => format!("sslmode={}", TlsMode::EXPECTED),
            Self::NoHost => "a host".to_owned(),
            Self::Host => "a host name, an address, or a folder that starts with /".to_owned(),
            Self::Counts => "as many of host, hostaddr and port, or one port".to_owned(),
            Self::AddressBesideFolder => {
                "a host name beside hostaddr, not the folder of a socket".to_owned()
            }
            Self::UncheckedCertificates => {
                "sslmode=verify-full beside the certificates to trust; no other mode checks them"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for InvalidTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "expected {}", self.expected())
    }
}

impl std::error::Error for InvalidTarget {}

/// Like [`describe`](ConnectionTarget::describe), and the mode of TLS.
impl fmt::Debug for ConnectionTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConnectionTarget")
            .field("database", &self.describe())
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl ConnectionTarget {
    /// A target with this configuration: TCP connections get keep-alives, and unix sockets no TLS, whatever is asked for.
    ///
    /// A `hostaddr` without a host stands for the host: its certificate has to be for the address.
    pub fn new(mut config: Config, defaults: ConnectionDefaults) -> Result<Self, InvalidTarget> {
        if config.get_hosts().is_empty() {
            for address in config.get_hostaddrs().to_vec() {
                config.host(address.to_string());
            }
        }
        let tls = if is_local(&config)? {
            TlsMode::Disable
        } else {
            defaults.tls
        };
        let unchecked = matches!(tls, TlsMode::Prefer | TlsMode::Require);
        if unchecked && defaults.root_certificates.is_some() {
            return Err(InvalidTarget::UncheckedCertificates);
        }
        config.ssl_mode(match tls {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyFull => SslMode::Require,
        });
        if config.get_application_name().is_none() && !defaults.application_name.is_empty() {
            config.application_name(defaults.application_name);
        }
        // A peer that vanished without a word is noticed within 45 s idle, or 10 s with unacknowledged data.
        config
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(10));
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(defaults.connect_timeout);
        }
        Ok(Self {
            config,
            tls,
            root_certificates: defaults.root_certificates,
        })
    }

    /// A target from a connection URL or a `key=value` string.
    ///
    /// The driver reads both, but knows neither `sslmode=verify-full` nor `sslrootcert`, which are cut out for it. Several
    /// hosts and `target_session_attrs` work as with libpq. What is not understood is refused.
    pub fn from_url(url: &str, mut defaults: ConnectionDefaults) -> Result<Self, InvalidTarget> {
        let split = connection_string::split(url)?;
        if let Some(mode) = split.mode {
            defaults.tls = mode.parse().map_err(|_| InvalidTarget::TlsMode)?;
        }
        if let Some(file) = split.root_certificates {
            // As libpq says it: the certificates of the system.
            defaults.root_certificates = (file != "system").then(|| PathBuf::from(file));
        }
        let config: Config = split.rest.parse().map_err(|error| refused(&error))?;
        // The driver must not have seen a mode that was not seen here.
        if config.get_ssl_mode() != Config::new().get_ssl_mode() {
            return Err(InvalidTarget::Malformed);
        }
        Self::new(config, defaults)
    }

    /// The database's name: the role's own, when none is given.
    #[must_use]
    pub fn database_name(&self) -> &str {
        let config = &self.config;
        config
            .get_dbname()
            .or(config.get_user())
            .unwrap_or_default()
    }

    /// The role to connect as. `None` is the operating system's user, whose name is not known here.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.config.get_user()
    }

    /// Database, hosts and ports, for a person. Never the password.
    #[must_use]
    pub fn describe(&self) -> String {
        let ports = self.config.get_ports();
        let hosts = self.config.get_hosts().iter().enumerate();
        let hosts: Vec<_> = hosts
            .map(|(index, host)| {
                let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
                match host {
                    Host::Tcp(name) => format!("{name}:{port}"),
                    #[cfg(unix)]
                    Host::Unix(path) => format!("{} (port {port})", path.display()),
                }
            })
            .collect();
        let database = self.config.get_dbname().unwrap_or_default();
        format!("{database} at {}", hosts.join(","))
    }
}

/// Whether the server is reached by unix sockets only, once the hosts are as they can be.
fn is_local(config: &Config) -> Result<bool, InvalidTarget> {
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    if hosts.is_empty() {
        return Err(InvalidTarget::NoHost);
    }
    let folders = hosts.iter().filter(|host| !matches!(host, Host::Tcp(_)));
    let folders = folders.count();
    if folders > 0 && !addresses.is_empty() {
        return Err(InvalidTarget::AddressBesideFolder);
    }
    let is_wrong = |number: usize, least: usize| number > least && number != hosts.len();
    if is_wrong(addresses.len(), 0) || is_wrong(config.get_ports().len(), 1) {
        return Err(InvalidTarget::Counts);
    }
    let mut names = hosts.iter().filter_map(|host| match host {
        Host::Tcp(name) => Some(name.as_str()),
        #[cfg(unix)]
        Host::Unix(_) => None,
    });
    // rustls would not check a certificate against another name, and the driver go on without TLS where it may.
    if !names.all(|name| ServerName::try_from(name).is_ok()) {
        return Err(InvalidTarget::Host);
    }
    Ok(folders == hosts.len())
}

/// What the driver complains of, as far as it can be told without its words, which quote the text.
fn refused(error: &tokio_postgres::Error) -> InvalidTarget {
    let reason = std::error::Error::source(error).map(ToString::to_string);
    let reason = reason.unwrap_or_default();
    let names = connection_string::KNOWN.into_iter();
    let mut invalid = names.filter(|name| reason == format!("invalid value for option `{name}`"));
    invalid
        .next()
        .map_or(InvalidTarget::Malformed, InvalidTarget::Value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<ConnectionTarget, InvalidTarget> {
        ConnectionTarget::from_url(url, ConnectionDefaults::default())
    }

    #[test]
    fn a_url_may_ask_for_verification_and_name_several_hosts() {
        let url = "postgres://me:s%40crt@a:1,b:2/notes?sslmode=verify-full&sslrootcert=%2Fca.pem&target_session_attrs=read-write";

        let target = target(url).unwrap();

        assert_eq!(target.describe(), "notes at a:1,b:2");
        assert_eq!(target.tls, TlsMode::VerifyFull);
        assert_eq!(target.root_certificates, Some(PathBuf::from("/ca.pem")));
        assert_eq!(target.config.get_password(), Some(&b"s@crt"[..]));
    }

    #[test]
    fn a_unix_socket_is_never_asked_for_tls() {
        let target = target("host=/run/postgresql sslmode=require").unwrap();

        assert_eq!(target.tls, TlsMode::Disable);
    }

    #[test]
    fn an_error_does_not_quote_the_url() {
        let error = target("postgres://me:hunter2@host:port/x").unwrap_err();

        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn neither_debug_nor_description_shows_the_password() {
        let target = target("postgres://me:hunter2@host/x").unwrap();

        assert!(!format!("{target:?} {}", target.describe()).contains("hunter2"));
    }
}
