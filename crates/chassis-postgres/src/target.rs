//! Where a database is and how much TLS is asked for.

use std::{path::PathBuf, str::FromStr, time::Duration};

use tokio_postgres::config::{Config, Host, SslMode};

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
#[derive(Debug, Clone)]
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

/// Why a connection URL cannot be used. It never quotes the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It is neither a URL nor a list of `key=value`.
    #[error("expected a URL like postgres://role:password@host:5432/database")]
    Malformed,
    /// Its `sslmode` is unknown.
    #[error("expected sslmode={}", TlsMode::EXPECTED)]
    TlsMode,
}

impl ConnectionTarget {
    /// A target with this configuration: TCP connections get keep-alives, and unix sockets no TLS, whatever is asked for.
    #[must_use]
    pub fn new(mut config: Config, defaults: ConnectionDefaults) -> Self {
        let hosts = config.get_hosts();
        let local = hosts.iter().all(|host| !matches!(host, Host::Tcp(_)));
        let tls = if local {
            TlsMode::Disable
        } else {
            defaults.tls
        };
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
        Self {
            config,
            tls,
            root_certificates: defaults.root_certificates,
        }
    }

    /// A target from a connection URL or a `key=value` string.
    ///
    /// `sslmode` and `sslrootcert` are taken out before the driver sees the text, because it knows neither
    /// `verify-full` nor `sslrootcert`. Several hosts and `target_session_attrs` work as with libpq.
    pub fn from_url(url: &str, mut defaults: ConnectionDefaults) -> Result<Self, InvalidUrl> {
        let (rest, ours) = take_tls_parameters(url);
        for (key, value) in ours {
            if key == "sslmode" {
                defaults.tls = value.parse().map_err(|_| InvalidUrl::TlsMode)?;
            } else {
                defaults.root_certificates = Some(PathBuf::from(value));
            }
        }
        let config = rest.parse().map_err(|_| InvalidUrl::Malformed)?;
        Ok(Self::new(config, defaults))
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

/// The text without `sslmode` and `sslrootcert`, and these two with their values decoded, in order.
fn take_tls_parameters(url: &str) -> (String, Vec<(String, String)>) {
    let mut ours = Vec::new();
    let mut keep = |item: &str| {
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        let is_ours = matches!(key, "sslmode" | "sslrootcert");
        if is_ours {
            let decoded = form_urlencoded::parse(item.as_bytes()).next();
            let value = decoded.map_or(value.to_owned(), |(_, value)| value.into_owned());
            ours.push((key.to_owned(), value));
        }
        !is_ours
    };
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let rest = if is_url {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let kept: Vec<_> = query
            .split('&')
            .filter(|item| !item.is_empty() && keep(item))
            .collect();
        format!("{base}?{}", kept.join("&"))
    } else {
        let kept: Vec<_> = url.split(' ').filter(|item| keep(item)).collect();
        kept.join(" ")
    };
    (rest, ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<ConnectionTarget, InvalidUrl> {
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
