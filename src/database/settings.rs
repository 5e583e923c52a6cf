//! Where PostgreSQL is, and how it is used.

use std::{path::PathBuf, time::Duration};

use chassis_settings::{
    Declaration, Section, Setting, SettingError, Values, millis, number, one_of, optional, path,
    secret, settings, switch, text,
};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Config, Host, SslMode};

settings! {
    /// host name, or the folder of a unix socket when it starts with /
    DB_HOST: String = "localhost", text("a host name or a folder");

    /// port
    DB_PORT: u16 = "5432", number(1..=u16::MAX);

    /// database
    pub DB_NAME: String, text("the name of a database");

    /// role
    pub DB_USER: String, text("the name of a role");

    /// password; any character is legal
    #[secret]
    DB_PASSWORD: Option<SecretString>, optional(secret());

    /// a whole URL instead of the five above; several hosts and target_session_attrs work
    #[secret]
    DATABASE_URL: Option<SecretString>, optional(secret());

    /// a direct connection for migrations, when the service goes through a pooler
    #[secret]
    MIGRATE_DATABASE_URL: Option<SecretString>, optional(secret());

    /// disable, prefer, require or verify-full
    #[production = "require"]
    DB_SSLMODE: TlsMode = "prefer", one_of(TlsMode::NAMES);

    /// PEM file with the certificates that verify-full trusts; unset: the system's
    DB_SSLROOTCERT: Option<PathBuf>, optional(path("a PEM file"));

    /// connections for transactions
    DB_POOL_SIZE: usize = "10", number(1..=10_000);

    /// connections that reads share, pipelined
    DB_READ_CONNECTIONS: usize = "2", number(1..=1000);

    /// how long a request waits for a connection before it is a 503
    DB_POOL_TIMEOUT_MS: Duration = "2000", millis(1);

    /// how long a statement may run
    DB_STATEMENT_TIMEOUT_MS: Duration = "5000", millis(1);

    /// how long serve tries to reach the database at start
    DB_CONNECT_TIMEOUT_MS: Duration = "30000", millis(0);

    /// from when on a statement is logged as slow
    SLOW_QUERY_MS: Duration = "200", millis(0);

    /// off for PgBouncer in transaction mode
    DB_PREPARED_STATEMENTS: bool = "on", switch();
}

/// How much of TLS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// None.
    Disable,
    /// If the server has it; its certificate is not checked.
    Prefer,
    /// Or no connection at all; the certificate is not checked.
    Require,
    /// And the certificate has to be valid for the host.
    VerifyFull,
}

impl TlsMode {
    const NAMES: &[(&str, Self)] = &[
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-full", Self::VerifyFull),
    ];
}

/// One way to reach a database.
#[derive(Debug, Clone)]
pub struct Target {
    /// What the driver needs. Its `Debug` hides the password.
    pub config: Config,
    /// How much of TLS is asked for.
    pub tls: TlsMode,
    /// The certificates to trust instead of the system's, in PEM.
    pub root_certificates: Option<PathBuf>,
}

impl Target {
    /// The database's name: the role's own, when none is given.
    #[must_use]
    pub fn database_name(&self) -> &str {
        let config = &self.config;
        config
            .get_dbname()
            .or(config.get_user())
            .unwrap_or_default()
    }

    /// Host, port and database, for a person. Never the password.
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

/// Connections, timeouts, and where to connect.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Where the service connects.
    pub target: Target,
    /// Where migrations connect: past a pooler, whose connections cannot hold a session's lock.
    pub migration_target: Target,
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
    /// Tells the server what connects, unless a URL already does: `application_name` in `pg_stat_activity`.
    #[must_use]
    pub fn with_application_name(mut self, name: &str) -> Self {
        for target in [&mut self.target, &mut self.migration_target] {
            if target.config.get_application_name().is_none() {
                target.config.application_name(name);
            }
        }
        self
    }

    /// How long one attempt to connect may take, when so much time has passed already: at least as long as a request's.
    #[must_use]
    pub fn attempt_after(&self, elapsed: Duration) -> Duration {
        let left = self.connect_timeout.saturating_sub(elapsed);
        left.max(self.pool_timeout)
    }

    /// Where the service connects, and where migrations do when that is somewhere else.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let other = self.migration_target.describe() != self.target.describe();
        [&self.target]
            .into_iter()
            .chain(other.then_some(&self.migration_target))
    }
}

impl Section for DatabaseSettings {
    const TITLE: &'static str = "Database";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        let target = match values.read(&DATABASE_URL)? {
            Some(url) => target_from_url(values, &DATABASE_URL, &url)?,
            None => target_from_parts(values)?,
        };
        let migration_target = match values.read(&MIGRATE_DATABASE_URL)? {
            Some(url) => target_from_url(values, &MIGRATE_DATABASE_URL, &url)?,
            None => target.clone(),
        };
        Ok(Self {
            target,
            migration_target,
            pool_size: values.read(&DB_POOL_SIZE)?,
            read_connections: values.read(&DB_READ_CONNECTIONS)?,
            pool_timeout: values.read(&DB_POOL_TIMEOUT_MS)?,
            statement_timeout: values.read(&DB_STATEMENT_TIMEOUT_MS)?,
            connect_timeout: values.read(&DB_CONNECT_TIMEOUT_MS)?,
            slow_query: values.read(&SLOW_QUERY_MS)?,
            prepared_statements: values.read(&DB_PREPARED_STATEMENTS)?,
        })
    }
}

fn target_from_parts(values: &Values) -> Result<Target, SettingError> {
    let mut config = Config::new();
    config
        .host(values.read(&DB_HOST)?)
        .port(values.read(&DB_PORT)?)
        .dbname(values.read(&DB_NAME)?)
        .user(values.read(&DB_USER)?);
    if let Some(password) = values.read(&DB_PASSWORD)? {
        config.password(password.expose_secret());
    }
    let tls = values.read(&DB_SSLMODE)?;
    let root_certificates = values.read(&DB_SSLROOTCERT)?;
    finish(values, config, tls, root_certificates)
}

/// The driver does not know `sslmode=verify-full` and `sslrootcert`, so these two are taken out first.
fn target_from_url(
    values: &Values,
    setting: &Setting<Option<SecretString>>,
    url: &SecretString,
) -> Result<Target, SettingError> {
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
            setting,
            "a URL like postgres://role:password@host:5432/database",
        )
    })?;
    let taken = |key: &str| {
        let found = taken.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.clone())
    };
    let tls = if let Some(mode) = taken("sslmode") {
        let expected = || format!("sslmode={}", DB_SSLMODE.expected());
        let tls = DB_SSLMODE.parse(Some(&mode));
        tls.ok_or_else(|| values.unusable(setting, expected()))?
    } else {
        values.read(&DB_SSLMODE)?
    };
    let root_certificates = match taken("sslrootcert") {
        Some(path) => Some(PathBuf::from(path)),
        None => values.read(&DB_SSLROOTCERT)?,
    };
    finish(values, config, tls, root_certificates)
}

/// What is the same for every connection.
fn finish(
    values: &Values,
    mut config: Config,
    tls: TlsMode,
    root_certificates: Option<PathBuf>,
) -> Result<Target, SettingError> {
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
    config
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(10));
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(values.read(&DB_POOL_TIMEOUT_MS)?);
    }
    Ok(Target {
        config,
        tls,
        root_certificates,
    })
}

#[cfg(test)]
mod tests {
    use chassis_settings::Catalogue;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<DatabaseSettings, SettingError> {
        let catalogue = Catalogue::new().section::<DatabaseSettings>();
        let catalogue = catalogue.with_default(&DB_NAME, "notes");
        let catalogue = catalogue.with_default(&DB_USER, "me");
        DatabaseSettings::read(&catalogue.load_pairs(pairs.iter().copied()).unwrap())
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
    fn the_server_is_told_what_connects_unless_the_url_does() {
        let url = "postgres://me@a/notes?application_name=by-url";
        let settings = read(&[("DATABASE_URL", url)]).unwrap();
        let plain = read(&[]).unwrap();

        let named = |settings: DatabaseSettings| {
            let settings = settings.with_application_name("notes-api");
            let targets = [settings.target, settings.migration_target];
            targets.map(|target| target.config.get_application_name().map(str::to_owned))
        };

        assert_eq!(named(plain), [(); 2].map(|()| Some("notes-api".to_owned())));
        assert_eq!(named(settings), [(); 2].map(|()| Some("by-url".to_owned())));
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
