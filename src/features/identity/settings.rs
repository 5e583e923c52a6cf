//! Keys of tokens and the lifetimes of sessions.

use std::time::Duration;

use chassis_settings::{
    AppEnv, Declaration, Section, Setting, SettingError, Values, days, list, minutes, number,
    optional, secret, settings, text,
};
use secrecy::{ExposeSecret, SecretString};

use chassis_telemetry::SERVICE_NAME;

settings! {
    /// signs access tokens: at least 32 bytes, from `openssl rand -hex 32`
    #[secret]
    JWT_SECRET_KEY: Option<SecretString>, optional(secret());

    /// earlier secrets, comma-separated: still verify, never sign
    #[secret]
    JWT_PREVIOUS_SECRET_KEYS: Vec<SecretString>, list(secret());

    /// the iss claim; unset: SERVICE_NAME
    JWT_ISSUER: Option<String>, optional(text("a name"));

    /// the aud claim; unset: SERVICE_NAME
    JWT_AUDIENCE: Option<String>, optional(text("a name"));

    /// how long an access token lives
    ACCESS_TOKEN_EXPIRE_MINUTES: Duration = "15", minutes(1..=1440);

    /// how long a session lives without being refreshed
    REFRESH_TOKEN_EXPIRE_DAYS: Duration = "14", days(1..=3650);

    /// how long a session lives at most
    SESSION_MAX_DAYS: Duration = "90", days(1..=3650);

    /// beyond it the oldest session ends
    MAX_SESSIONS_PER_USER: u32 = "20", number(1..=10_000);
}

/// Tokens and sessions.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// Signs access tokens. `None` only where nothing is signed, or in tests.
    pub secret: Option<SecretString>,
    /// Verify tokens that were signed before a change of the secret.
    pub previous_secrets: Vec<SecretString>,
    /// The issuer of access tokens: the claim `iss`.
    pub issuer: String,
    /// The audience of access tokens: the claim `aud`.
    pub audience: String,
    /// How long an access token lives.
    pub access_token_lifetime: Duration,
    /// How long a session lives without being refreshed.
    pub session_idle_lifetime: Duration,
    /// How long a session lives at most.
    pub session_lifetime: Duration,
    /// How many sessions a user may have.
    pub max_sessions_per_user: u32,
    /// Where the secret came from, for an error about it.
    secret_origin: String,
}

/// The shortest secret, in bytes: as many as the hash has (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// What stands in the secrets of examples: the words that ask to be replaced, and two that never are.
const EXAMPLES: [&str; 9] = [
    "changeme",
    "change-me",
    "change_me",
    "change-this",
    "your-secret",
    "your_secret",
    "example",
    "your-256-bit-secret",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
];

impl Section for AuthSettings {
    const TITLE: &'static str = "Tokens and sessions";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        let or_service_name = |setting: &Setting<Option<String>>| match values.read(setting)? {
            Some(name) => Ok(name),
            None => values.read(&SERVICE_NAME),
        };
        Ok(Self {
            secret: values.read(&JWT_SECRET_KEY)?,
            previous_secrets: values.read(&JWT_PREVIOUS_SECRET_KEYS)?,
            issuer: or_service_name(&JWT_ISSUER)?,
            audience: or_service_name(&JWT_AUDIENCE)?,
            access_token_lifetime: values.read(&ACCESS_TOKEN_EXPIRE_MINUTES)?,
            session_idle_lifetime: values.read(&REFRESH_TOKEN_EXPIRE_DAYS)?,
            session_lifetime: values.read(&SESSION_MAX_DAYS)?,
            max_sessions_per_user: values.read(&MAX_SESSIONS_PER_USER)?,
            secret_origin: values.origin(&JWT_SECRET_KEY).to_owned(),
        })
    }
}

impl AuthSettings {
    /// Refuses to sign with a secret that others could know.
    pub fn check_secret(&self, app_env: AppEnv) -> Result<(), SettingError> {
        if app_env == AppEnv::Test {
            return Ok(());
        }
        let refuse = |expected: &str| {
            Err(SettingError {
                name: JWT_SECRET_KEY.name().to_owned(),
                origin: self.secret_origin.clone(),
                expected: expected.to_owned(),
            })
        };
        let Some(secret) = self.secret.as_ref().map(ExposeSecret::expose_secret) else {
            return refuse(
                "a secret, and neither the environment nor .env in this folder has one: \
                 `make setup` writes one there, `openssl rand -hex 32` makes one",
            );
        };
        let folded = secret.to_lowercase();
        if secret.len() < MIN_SECRET_BYTES {
            return refuse("a secret of at least 32 bytes: make one with `openssl rand -hex 32`");
        }
        if EXAMPLES.iter().any(|example| folded.contains(example)) {
            return refuse(
                "a secret that stands in no example: make one with `openssl rand -hex 32`",
            );
        }
        if app_env == AppEnv::Production && is_monotonous(secret) {
            return refuse(
                "a secret of more than a few different bytes, in production: \
                 make one with `openssl rand -hex 32`",
            );
        }
        if self
            .previous_secrets
            .iter()
            .any(|secret| secret.expose_secret().len() < MIN_SECRET_BYTES)
        {
            return Err(SettingError {
                name: JWT_PREVIOUS_SECRET_KEYS.name().to_owned(),
                origin: "the settings".to_owned(),
                expected: "secrets of at least 32 bytes each".to_owned(),
            });
        }
        Ok(())
    }
}

/// Fewer than eight different bytes: typed to fill the length.
fn is_monotonous(secret: &str) -> bool {
    let mut bytes = secret.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len() < 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secret: &str) -> Result<(), SettingError> {
        let values = crate::settings::values([("JWT_SECRET_KEY", secret)]).unwrap();
        AuthSettings::read(&values)
            .unwrap()
            .check_secret(AppEnv::Development)
    }

    #[test]
    fn a_random_secret_is_taken() {
        assert_eq!(check("7e1f0c2ab9d84e55a6b3c7d2e8f90a1b"), Ok(()));
    }

    #[test]
    fn production_refuses_what_was_typed_to_fill_the_length() {
        let values = crate::settings::values([("JWT_SECRET_KEY", "a".repeat(64))]).unwrap();
        let settings = AuthSettings::read(&values).unwrap();

        assert!(settings.check_secret(AppEnv::Production).is_err());
    }

    #[test]
    fn missing_short_and_example_secrets_are_refused_by_name() {
        for secret in ["", "short", "your-secret-key-change-me-please-32"] {
            let error = check(secret).unwrap_err().to_string();
            assert!(error.starts_with("JWT_SECRET_KEY"), "{error}");
            assert!(error.contains("openssl rand -hex 32"), "{error}");
            assert!(secret.is_empty() || !error.contains(secret), "{error}");
        }
    }
}
