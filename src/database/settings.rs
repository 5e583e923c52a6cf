//! Where PostgreSQL is, and how it is used.

use std::{path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Config, Host, SslMode};

use super::{ConnectionTarget, PostgresOptions, TlsMode};
use crate::config::{Section, Setting, SettingError, Values};

/// Connections, timeouts, and where to connect.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Where the service connects.
    pub target: ConnectionTarget,
    /// Where migrations connect: past a pooler, whose connections cannot hold a session's lock.
    pub migration_target: ConnectionTarget,
    /// Connections for transactions.
    pub pool_size: usize,
    /// Connections that reads share.
    pub read_connections: usize,
    /// How long a request waits for a connection.
    pub pool_timeout: Duration,
    /// How long a statement may run.
    pub statement_timeout: Duration,
    /// How long `serve` tries to reach the database at start.
    pub connect_timeout: Duration,
    /// From when on a statement is logged as slow.
    pub slow_query: Duration,
    /// Whether statements are prepared once a connection.
    pub prepared_statements: bool,
}

impl DatabaseSettings {
    /// What the pool is made from.
    #[must_use]
    pub fn options(&self) -> PostgresOptions {
        PostgresOptions {
            target: self.target.clone(),
            pool_size: self.pool_size,
            read_connections: self.read_connections,
            pool_timeout: self.pool_timeout,
            statement_timeout: self.statement_timeout,
            slow_query: self.slow_query,
            prepared_statements: self.prepared_statements,
        }
    }

    /// How long one attempt to connect may take, when so much time has passed already: at least as long as a request's.
    #[must_use]
    pub fn attempt_after(&self, elapsed: Duration) -> Duration {
        let left = self.connect_timeout.saturating_sub(elapsed);
        left.max(self.pool_timeout)
    }

    /// Where the service connects, and where migrations do when that is somewhere else.
    pub fn targets(&self) -> impl Iterator<Item = &ConnectionTarget> {
        let other = self.migration_target.describe() != self.target.describe();
        [&self.target]
            .into_iter()
            .chain(other.then_some(&self.migration_target))
    }
}

impl Section for DatabaseSettings {
    const SETTINGS: &'static [Setting] = &[
        Setting::new(
            "DB_HOST",
            "localhost",
            "host name, or the folder of a unix socket when it starts with /",
        ),
        Setting::new("DB_PORT", "5432", "port"),
        Setting::new("DB_NAME", "warp_skeleton", "database"),
        Setting::new("DB_USER", "warp_skeleton", "role"),
        Setting::new("DB_PASSWORD", "", "password; any character is legal").secret(),
        Setting::new(
            "DATABASE_URL",
            "",
            "a whole URL instead of the five above; several hosts and target_session_attrs work",
        )
        .secret(),
        Setting::new(
            "MIGRATE_DATABASE_URL",
            "",
            "a direct connection for migrations, when the service goes through a pooler",
        )
        .secret(),
        Setting::new(
            "DB_SSLMODE",
            "prefer",
            "disable, prefer, require or verify-full",
        )
        .in_production("require"),
        Setting::new(
            "DB_SSLROOTCERT",
            "",
            "PEM file with the certificates that verify-full trusts; unset: the system's",
        ),
        Setting::new("DB_POOL_SIZE", "10", "connections for transactions"),
        Setting::new(
            "DB_READ_CONNECTIONS",
            "2",
            "connections that reads share, pipelined",
        ),
        Setting::new(
            "DB_POOL_TIMEOUT_MS",
            "2000",
            "how long a request waits for a connection before it is a 503",
        ),
        Setting::new(
            "DB_STATEMENT_TIMEOUT_MS",
            "5000",
            "how long a statement may run",
        ),
        Setting::new(
            "DB_CONNECT_TIMEOUT_MS",
            "30000",
            "how long serve tries to reach the database at start",
        ),
        Setting::new(
            "SLOW_QUERY_MS",
            "200",
            "from when on a statement is logged as slow",
        ),
        Setting::new(
            "DB_PREPARED_STATEMENTS",
            "on",
            "off for PgBouncer in transaction mode",
        ),
    ];

    fn read(values: &Values) -> Result<Self, SettingError> {
        let target = match values.secret("DATABASE_URL") {
            Some(url) => target_from_url(values, "DATABASE_URL", &url)?,
            None => target_from_parts(values)?,
        };
        let migration_target = match values.secret("MIGRATE_DATABASE_URL") {
            Some(url) => target_from_url(values, "MIGRATE_DATABASE_URL", &url)?,
            None => target.clone(),
        };
        Ok(Self {
            target,
            migration_target,
            pool_size: values.number("DB_POOL_SIZE", 1, 10_000)?,
            read_connections: values.number("DB_READ_CONNECTIONS", 1, 1000)?,
            pool_timeout: values.millis("DB_POOL_TIMEOUT_MS", 1)?,
            statement_timeout: values.millis("DB_STATEMENT_TIMEOUT_MS", 1)?,
            connect_timeout: values.millis("DB_CONNECT_TIMEOUT_MS", 0)?,
            slow_query: values.millis("SLOW_QUERY_MS", 0)?,
            prepared_statements: values.switch("DB_PREPARED_STATEMENTS")?,
        })
    }
}

fn target_from_parts(values: &Values) -> Result<ConnectionTarget, SettingError> {
    let host: String = values.get("DB_HOST", "a host name or a folder")?;
    let mut config = Config::new();
    config
        .host(&host)
        .port(values.number("DB_PORT", 1, u16::MAX)?)
        .dbname(values.get::<String>("DB_NAME", "the name of a database")?)
        .user(values.get::<String>("DB_USER", "the name of a role")?);
    if let Some(password) = values.secret("DB_PASSWORD") {
        config.password(password.expose_secret());
    }
    let tls = default_tls(values)?;
    let root_certificates = values.text("DB_SSLROOTCERT").map(PathBuf::from);
    finish(values, config, tls, root_certificates)
}

fn default_tls(values: &Values) -> Result<TlsMode, SettingError> {
    let mode = values.text("DB_SSLMODE").unwrap_or_default();
    mode.parse()
        .map_err(|_| values.unusable("DB_SSLMODE", TlsMode::EXPECTED))
}

/// The driver does not know `sslmode=verify-full` and `sslrootcert`, so these two are taken out first.
fn target_from_url(
    values: &Values,
    name: &str,
    url: &SecretString,
) -> Result<ConnectionTarget, SettingError> {
    let url = url.expose_secret();
    let mut taken = Vec::new();
    let mut keep = |item: &str| {
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        let ours = matches!(key, "sslmode" | "sslrootcert");
        if ours {
            let decoded = form_urlencoded::parse(item.as_bytes()).next();
            let value = decoded.map_or(value.to_owned(), |(_, value)| value.into_owned());
            taken.push((key.to_owned(), value));
        }
        !ours
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
    // The driver's message could quote a part of the URL, and with it the password.
    let config = rest.parse::<Config>().map_err(|_| {
        values.unusable(
            name,
            "a URL like postgres://role:password@host:5432/database",
        )
    })?;
    let taken = |key: &str| {
        let found = taken.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.clone())
    };
    let tls = if let Some(mode) = taken("sslmode") {
        let expected = || values.unusable(name, format!("sslmode={}", TlsMode::EXPECTED));
        mode.parse().map_err(|_| expected())?
    } else {
        default_tls(values)?
    };
    let root_certificates = taken("sslrootcert").or_else(|| values.text("DB_SSLROOTCERT"));
    finish(values, config, tls, root_certificates.map(PathBuf::from))
}

/// What is the same for every connection.
fn finish(
    values: &Values,
    mut config: Config,
    tls: TlsMode,
    root_certificates: Option<PathBuf>,
) -> Result<ConnectionTarget, SettingError> {
    let local = config
        .get_hosts()
        .iter()
        .all(|host| !matches!(host, Host::Tcp(_)));
    let tls = if local { TlsMode::Disable } else { tls };
    config.ssl_mode(match tls {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyFull => SslMode::Require,
    });
    if config.get_application_name().is_none() {
        config.application_name(values.get::<String>("SERVICE_NAME", "a name")?);
    }
    config
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(10));
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(values.millis("DB_POOL_TIMEOUT_MS", 1)?);
    }
    Ok(ConnectionTarget {
        config,
        tls,
        root_certificates,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<DatabaseSettings, SettingError> {
        DatabaseSettings::read(&Values::from_pairs(pairs.iter().copied()).unwrap())
    }

    #[test]
    fn any_character_is_legal_in_a_password() {
        let settings = read(&[("DB_PASSWORD", "p@ss:w/o rd?#%$'\"")]).unwrap();

        let password = settings.target.config.get_password();

        assert_eq!(password, Some("p@ss:w/o rd?#%$'\"".as_bytes()));
    }

    #[test]
    fn a_url_wins_and_may_ask_for_verification() {
        let url = "postgres://me:s%40crt@a:1,b:2/notes?sslmode=verify-full&sslrootcert=%2Fca.pem&target_session_attrs=read-write";
        let settings = read(&[("DATABASE_URL", url), ("DB_HOST", "ignored")]).unwrap();

        assert_eq!(settings.target.describe(), "notes at a:1,b:2");
        assert_eq!(settings.target.tls, TlsMode::VerifyFull);
        assert_eq!(
            settings.target.root_certificates,
            Some(PathBuf::from("/ca.pem"))
        );
        assert_eq!(settings.target.config.get_password(), Some(&b"s@crt"[..]));
    }

    #[test]
    fn a_socket_is_not_asked_for_tls() {
        let settings = read(&[("DB_HOST", "/run/postgresql"), ("APP_ENV", "production")]).unwrap();

        assert_eq!(settings.target.tls, TlsMode::Disable);
    }

    #[test]
    fn production_requires_tls_by_default() {
        let settings = read(&[("APP_ENV", "production")]).unwrap();

        assert_eq!(settings.target.tls, TlsMode::Require);
    }

    #[test]
    fn a_broken_url_is_refused_without_being_shown() {
        let error = read(&[("DATABASE_URL", "postgres://me:hunter2@host:port/x")]).unwrap_err();

        assert!(
            error
                .to_string()
                .starts_with("DATABASE_URL (from the environment): expected")
        );
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn neither_debug_nor_description_shows_the_password() {
        let settings = read(&[("DB_PASSWORD", "hunter2")]).unwrap();

        assert!(!format!("{settings:?} {}", settings.target.describe()).contains("hunter2"));
    }
}
