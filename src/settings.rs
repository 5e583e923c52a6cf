//! Every setting of the service: the list of sections, and the defaults that only the service knows.
//!
//! Each section stands beside the code that uses it, in the words of [`chassis_settings`], which alone reads the
//! environment.

use std::time::Duration;

use chassis_http::HttpOptions;
use chassis_postgres::DatabaseSettings;
use chassis_server::{ListenAddress, ServerOptions};
use chassis_settings::{
    AppEnv, Catalogue, Declaration, Section, SettingError, Values, millis, optional, parse_with,
    parsed, settings,
};
use chassis_telemetry::TelemetryOptions;

use crate::features::{
    browser_sessions::{CookieSettings, Surroundings},
    identity::{AuthSettings, PasswordSettings},
    jobs::JobSettings,
    limits::LimitSettings,
    mail::MailSettings,
    recovery::RecoverySettings,
};
// api_keys: begin
use crate::features::api_keys::KeySettings;
// api_keys: end
use crate::shared::PublicUrl;

/// All settings of the service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `APP_ENV`.
    pub app_env: AppEnv,
    /// Addresses, limits and timeouts of the listener.
    pub server: ServerOptions,
    /// The second listener, the public address, and when to stop listening.
    pub service: ServiceSettings,
    /// Limits and timeouts of a request.
    pub http: HttpOptions,
    /// Where PostgreSQL is and how it is used.
    pub database: DatabaseSettings,
    /// Tokens and sessions.
    pub auth: AuthSettings,
    /// Password policy and hashing.
    pub passwords: PasswordSettings,
    /// How many requests are allowed in which time.
    pub limits: LimitSettings,
    // api_keys: begin
    /// Keys of machines.
    pub keys: KeySettings,
    // api_keys: end
    // jobs: begin
    /// Work that outlives a request.
    pub jobs: JobSettings,
    // jobs: end
    // mail: begin
    /// Where mail goes.
    pub mail: MailSettings,
    // mail: end
    // recovery: begin
    /// Registration, and links in mails.
    pub recovery: RecoverySettings,
    // recovery: end
    // browser_sessions: begin
    /// Sessions of browsers.
    pub cookies: CookieSettings,
    // browser_sessions: end
    /// Logs and traces.
    pub telemetry: TelemetryOptions,
}

impl Settings {
    /// Reads each section from the values.
    ///
    /// The database is told the name of the service here, because its own section knows no other one.
    pub fn read(values: &Values) -> Result<Self, SettingError> {
        let service_name = values.read(&chassis_telemetry::SERVICE_NAME)?;
        Ok(Self {
            app_env: values.app_env()?,
            service: ServiceSettings::read(values)?,
            server: ServerOptions::read(values)?,
            http: HttpOptions::read(values)?,
            database: DatabaseSettings::read(values)?.with_application_name(&service_name),
            auth: AuthSettings::read(values)?,
            passwords: PasswordSettings::read(values)?,
            limits: LimitSettings::read(values)?,
            // api_keys: begin
            keys: KeySettings::read(values)?,
            // api_keys: end
            jobs: JobSettings::read(values)?,
            mail: MailSettings::read(values)?,
            recovery: RecoverySettings::read(values)?,
            cookies: CookieSettings::read(values)?,
            telemetry: TelemetryOptions::read(values)?,
        })
    }

    /// Where people reach this service: `PUBLIC_URL`, or else this machine, which is right during development alone.
    #[must_use]
    pub fn origin(&self) -> String {
        match (&self.service.public_url, &self.server.listen) {
            (Some(url), _) => url.as_str().to_owned(),
            (None, ListenAddress::Tcp { port, .. }) => format!("http://localhost:{port}"),
            (None, ListenAddress::Unix(_)) => "http://localhost".to_owned(),
        }
    }

    // browser_sessions: begin
    /// What the cookie of a browser's session depends on.
    #[must_use]
    pub fn around_cookies(&self) -> Surroundings<'_> {
        let is_loopback = match &self.server.listen {
            ListenAddress::Tcp { host, .. } => {
                let ip = host.parse().map(|ip: std::net::IpAddr| ip.is_loopback());
                ip.unwrap_or(host == "localhost")
            }
            ListenAddress::Unix(_) => false,
        };
        Surroundings {
            app_env: self.app_env,
            public_url: self.service.public_url.as_ref().map(PublicUrl::as_str),
            has_allowed_origins: !self.http.cors_allowed_origins.is_empty(),
            is_loopback,
        }
    }
    // browser_sessions: end

    // recovery: begin
    /// Refuses settings of registration and recovery that contradict those of mail and of the public address. In production
    /// nobody who reads a mail is on this machine, so the origin has to be told.
    pub fn check_recovery(&self) -> Result<(), SettingError> {
        let has_origin = self.app_env != AppEnv::Production || self.service.public_url.is_some();
        self.recovery.check(self.mail.is_on(), has_origin)
    }
    // recovery: end

    /// Whether requests are to be limited per source, and have none: those over a unix socket have an address only
    /// if `X-Forwarded-For` is believed, which an empty `TRUSTED_PROXIES` forbids.
    #[must_use]
    pub fn is_without_sources(&self) -> bool {
        self.limits.quotas.is_some()
            && matches!(self.server.listen, ListenAddress::Unix(_))
            && self.http.trusted_proxies.is_empty()
    }
}

settings! {
    /// when set, /metrics moves to this port and leaves the public one
    ADMIN_PORT: Option<u16>, optional(parsed("a port"));

    /// how long to go on listening once /ready says no
    SHUTDOWN_DELAY_MS: Duration = "0", millis(0);

    /// the origin clients reach the service at, like https://api.example.com; links are built from it
    PUBLIC_URL: Option<PublicUrl>, optional(parse_with(PublicUrl::parse, PublicUrl::EXPECTED));
}

/// What belongs to this service and to no part of the chassis.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// Where `/metrics` is served, when it has a listener of its own.
    pub admin: Option<ListenAddress>,
    /// How long to go on accepting connections once `/ready` says no.
    pub shutdown_delay: Duration,
    /// The origin that links to the service are built from.
    pub public_url: Option<PublicUrl>,
}

impl Section for ServiceSettings {
    const TITLE: &'static str = "Service";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        let host = values.read(&chassis_server::HOST)?;
        let admin = values.read(&ADMIN_PORT)?;
        // Two listeners on port 0 are given two ports.
        let is_fixed = admin.is_some_and(|port| port != 0);
        let admin = admin.map(|port| ListenAddress::Tcp { host, port });
        if is_fixed && admin == Some(ServerOptions::read(values)?.listen) {
            return Err(values.unusable(&ADMIN_PORT, "another port than PORT"));
        }
        Ok(Self {
            admin,
            shutdown_delay: values.read(&SHUTDOWN_DELAY_MS)?,
            public_url: values.read(&PUBLIC_URL)?,
        })
    }
}

/// Every setting there is, section by section, in the order in which lists show them.
#[must_use]
pub fn catalogue() -> Catalogue {
    Catalogue::new()
        .section::<ServerOptions>()
        .section::<ServiceSettings>()
        .section::<HttpOptions>()
        .section::<DatabaseSettings>()
        .section::<AuthSettings>()
        .section::<PasswordSettings>()
        .section::<LimitSettings>()
        // api_keys: begin
        .section::<KeySettings>()
        // api_keys: end
        .section::<JobSettings>()
        .section::<MailSettings>()
        .section::<RecoverySettings>()
        .section::<CookieSettings>()
        .section::<TelemetryOptions>()
        .with_default(&chassis_postgres::DB_NAME, "warp_skeleton")
        .with_default(&chassis_postgres::DB_USER, "warp_skeleton")
        .with_default(&chassis_telemetry::SERVICE_NAME, env!("CARGO_PKG_NAME"))
}

/// The values of this process: its environment, `.env` in the current folder, and the file named by `CONFIG_FILE`.
pub fn load() -> Result<Values, SettingError> {
    catalogue().load()
}

/// Values from the given pairs as if they were the whole environment: for tests.
pub fn values<K: Into<String>, V: Into<String>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> Result<Values, SettingError> {
    catalogue().load_pairs(pairs)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_example_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example");

        let written = fs::read_to_string(path).unwrap_or_default();

        assert_eq!(
            written,
            catalogue().example(),
            "write it anew: cargo run -q -- config --example > .env.example"
        );
    }

    #[test]
    fn every_default_can_be_used() {
        for profile in ["development", "test", "production"] {
            assert!(Settings::read(&values([("APP_ENV", profile)]).unwrap()).is_ok());
        }
    }

    #[test]
    fn an_unusable_value_names_its_setting_its_source_and_what_was_expected() {
        let values = values([("PORT", "eighty")]).unwrap();

        let error = Settings::read(&values).unwrap_err();

        assert_eq!(
            error.to_string(),
            "PORT (from the environment): expected a whole number from 0 to 65535"
        );
    }

    #[test]
    fn the_second_listener_has_another_port() {
        let read = |pairs: &[(&str, &str)]| {
            let values = values(pairs.iter().copied()).unwrap();
            Settings::read(&values).map(|settings| settings.service.admin)
        };
        let admin = |port| {
            let host = "127.0.0.1".to_owned();
            Some(ListenAddress::Tcp { host, port })
        };

        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[("ADMIN_PORT", "9000")]).unwrap(), admin(9000));
        let same = [("PORT", "9000"), ("ADMIN_PORT", "9000")];
        assert_eq!(
            read(&same).unwrap_err().to_string(),
            "ADMIN_PORT (from the environment): expected another port than PORT"
        );
        let free = [("PORT", "0"), ("ADMIN_PORT", "0")];
        assert_eq!(read(&free).unwrap(), admin(0));
        // A service on a unix socket does not take PORT.
        let [port, admin_port] = same;
        let socket = [port, admin_port, ("LISTEN_SOCKET", "/run/notes.sock")];
        assert_eq!(read(&socket).unwrap(), admin(9000));
    }

    #[test]
    fn the_database_is_told_the_name_of_the_service() {
        let values = values([("SERVICE_NAME", "notes")]).unwrap();

        let database = Settings::read(&values).unwrap().database;

        for target in [database.target, database.migration_target] {
            assert_eq!(target.config.get_application_name(), Some("notes"));
        }
    }
}
