//! Where PostgreSQL is, and how it is used.

use std::{path::PathBuf, time::Duration};

use chassis_settings::{
    Declaration, ExposeSecret, SecretString, Section, Setting, SettingError, Values, millis,
    number, one_of, optional, path, secret, settings, switch, text,
};
use tokio_postgres::Config;

use crate::{
    ConnectionDefaults, ConnectionTarget, InvalidTarget, Pooler, PostgresOptions, TlsMode,
};

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

    /// for migrations: a direct connection past a pooler, or the role that owns the tables
    #[secret]
    MIGRATE_DATABASE_URL: Option<SecretString>, optional(secret());

    /// disable, prefer, require or verify-full
    #[production = "require"]
    DB_SSLMODE: TlsMode = "prefer", one_of(TLS_MODES);

    /// PEM file with the certificates that verify-full trusts; unset: the system's
    DB_SSLROOTCERT: Option<PathBuf>, optional(path("a PEM file"));

    /// connections for transactions and lists
    DB_POOL_SIZE: usize = "10", number(1..=10_000);

    /// connections shared by the point reads that authenticate, pipelined; probes have one of their own
    DB_READ_CONNECTIONS: usize = "2", number(1..=1000);

    /// how long a request waits for a connection before it is a 503
    DB_POOL_TIMEOUT_MS: Duration = "2000", millis(1);

    /// how long a statement may run
    DB_STATEMENT_TIMEOUT_MS: Duration = "5000", millis(1);

    /// how long serve tries to reach the database at start
    DB_CONNECT_TIMEOUT_MS: Duration = "30000", millis(0);

    /// from when on a statement is logged as slow
    SLOW_QUERY_MS: Duration = "200", millis(0);

    /// none, or transaction: a pooler stands in between, so nothing is kept in a database session
    DB_POOLER: Pooler = "none", one_of(POOLERS);

    /// off for poolers that do not keep them (PgBouncer before 1.21)
    DB_PREPARED_STATEMENTS: bool = "on", switch();
}

/// How `DB_POOLER` names them.
const POOLERS: &[(&str, Pooler)] = &[("none", Pooler::None), ("transaction", Pooler::Transaction)];

/// How `DB_SSLMODE` and `sslmode=` name them.
const TLS_MODES: &[(&str, TlsMode)] = &[
    ("disable", TlsMode::Disable),
    ("prefer", TlsMode::Prefer),
    ("require", TlsMode::Require),
    ("verify-full", TlsMode::VerifyFull),
];

/// Connections, timeouts, and where to connect.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Where the service connects.
    pub target: ConnectionTarget,
    /// Where migrations connect: past a pooler, whose connections cannot hold a session's lock.
    pub migration_target: ConnectionTarget,
    /// Connections for transactions.
    pub pool_size: usize,
    /// Connections that the shortest reads share.
    pub read_connections: usize,
    /// How long a request waits for a connection.
    pub pool_timeout: Duration,
    /// How long a statement may run.
    pub statement_timeout: Duration,
    /// How long `serve` tries to reach the database at start.
    pub connect_timeout: Duration,
    /// From when on a statement is logged as slow.
    pub slow_query: Duration,
    /// What stands between the service and the server.
    pub pooler: Pooler,
    /// Whether statements are prepared once a connection.
    pub prepared_statements: bool,
    /// Whether `MIGRATE_DATABASE_URL` is set.
    pub migrates_elsewhere: bool,
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
            pooler: self.pooler,
            prepared_statements: self.prepared_statements,
        }
    }

    /// Whether migrations would run through a pooler, which cannot hold the lock of a run: `MIGRATE_DATABASE_URL` is missing.
    #[must_use]
    pub fn migrates_through_pooler(&self) -> bool {
        self.pooler == Pooler::Transaction && !self.migrates_elsewhere
    }

    /// How long one attempt to connect may take, when so much time has passed already: at least as long as a request's.
    #[must_use]
    pub fn attempt_after(&self, elapsed: Duration) -> Duration {
        let left = self.connect_timeout.saturating_sub(elapsed);
        left.max(self.pool_timeout)
    }

    /// Where migrations connect, when that is in any way another connection than the service's: another database,
    /// server, role or mode of TLS.
    #[must_use]
    pub fn separate_migration_target(&self) -> Option<&ConnectionTarget> {
        (self.migration_target != self.target).then_some(&self.migration_target)
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
        let migration_url = values.read(&MIGRATE_DATABASE_URL)?;
        let migrates_elsewhere = migration_url.is_some();
        let migration_target = match migration_url {
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
            pooler: values.read(&DB_POOLER)?,
            prepared_statements: values.read(&DB_PREPARED_STATEMENTS)?,
            migrates_elsewhere,
        })
    }
}

fn target_from_parts(values: &Values) -> Result<ConnectionTarget, SettingError> {
    let mut config = Config::new();
    let host = values.read(&DB_HOST)?;
    // An IPv6 address as it stands in a URL.
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    config
        .host(inner.unwrap_or(&host))
        .port(values.read(&DB_PORT)?)
        .dbname(values.read(&DB_NAME)?)
        .user(values.read(&DB_USER)?);
    if let Some(password) = values.read(&DB_PASSWORD)? {
        config.password(password.expose_secret());
    }
    let target = ConnectionTarget::new(config, defaults(values)?);
    target.map_err(|error| match error {
        InvalidTarget::UncheckedCertificates => values.unusable(
            &DB_SSLMODE,
            "verify-full, which alone checks DB_SSLROOTCERT",
        ),
        error => values.unusable(&DB_HOST, error.expected()),
    })
}

fn target_from_url(
    values: &Values,
    setting: &Setting<Option<SecretString>>,
    url: &SecretString,
) -> Result<ConnectionTarget, SettingError> {
    let target = ConnectionTarget::from_url(url.expose_secret(), defaults(values)?);
    target.map_err(|error| values.unusable(setting, error.expected()))
}

/// What the settings beside a URL say about the connection.
fn defaults(values: &Values) -> Result<ConnectionDefaults, SettingError> {
    Ok(ConnectionDefaults {
        tls: values.read(&DB_SSLMODE)?,
        root_certificates: values.read(&DB_SSLROOTCERT)?,
        connect_timeout: values.read(&DB_POOL_TIMEOUT_MS)?,
        ..ConnectionDefaults::default()
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
    fn migrations_go_another_way_when_anything_differs() {
        let url = "postgres://me:s@a/notes";
        let separate = |migrate: &str| {
            let settings = read(&[("DATABASE_URL", url), ("MIGRATE_DATABASE_URL", migrate)]);
            settings.unwrap().separate_migration_target().is_some()
        };

        assert!(!separate(""));
        assert!(!separate(url));
        assert!(!separate(
            "host=a user=me password=s dbname=notes port=5432"
        ));
        for other in [
            "postgres://owner:s@a/notes",
            "postgres://me:t@a/notes",
            "postgres://me:s@a/other",
            "postgres://me:s@a:5433/notes",
            "postgres://me:s@a/notes?options=-c%20search_path=b",
            "postgres://me:s@a/notes?hostaddr=127.0.0.1",
            "postgres://me:s@a/notes?sslmode=verify-full",
            "postgres://me:s@a/notes?application_name=b",
        ] {
            assert!(separate(other), "{other}");
        }
    }

    #[test]
    fn an_ipv6_address_may_stand_in_brackets() {
        let settings = read(&[("DB_HOST", "[::1]")]).unwrap();

        assert_eq!(settings.target.describe(), "notes at ::1:5432");
    }

    #[test]
    fn what_would_check_no_certificate_is_refused_where_there_are_some_to_check() {
        let given = [("DB_SSLROOTCERT", "/ca.pem"), ("DB_SSLMODE", "require")];
        let error = read(&given).unwrap_err().to_string();

        assert_eq!(
            error,
            "DB_SSLMODE (from the environment): expected verify-full, which alone checks DB_SSLROOTCERT"
        );
        let url = ("DATABASE_URL", "postgres://a/notes?sslmode=verify-full");
        assert!(read(&[given[0], given[1], url]).is_ok());
        assert!(read(&[given[0], ("DB_SSLMODE", "disable")]).is_ok());
        assert!(read(&[given[0], ("DB_HOST", "/run/postgresql")]).is_ok());
    }

    #[test]
    fn a_host_that_cannot_be_one_is_named_by_its_setting() {
        for host in ["a b", "a@b", "a,b", "fe80::1%eth0"] {
            let error = read(&[("DB_HOST", host)]).unwrap_err().to_string();
            assert!(
                error.starts_with("DB_HOST (from the environment)"),
                "{error}"
            );
        }
        for host in ["localhost", "db.example.", "my_db", "10.0.0.1", "::1"] {
            assert!(read(&[("DB_HOST", host)]).is_ok(), "{host}");
        }
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
