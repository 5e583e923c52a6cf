//! Keys of tokens and the lifetimes of sessions.

use std::time::Duration;

use chassis_settings::{
    AppEnv, Declaration, Section, Setting, SettingError, Values, days, minutes, number, optional,
    secret, settings, text,
};
use secrecy::{ExposeSecret, SecretString};

use chassis_telemetry::SERVICE_NAME;

settings! {
    /// signs access tokens: at least 32 bytes, from `openssl rand -hex 32`
    #[secret]
    JWT_SECRET_KEY: Option<SecretString>, optional(secret());

    /// earlier secrets, comma-separated, in a file one a line: still verify, never sign
    #[secret]
    JWT_PREVIOUS_SECRET_KEYS: Option<SecretString>, optional(secret());

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
    /// The same of the previous ones.
    previous_secrets_origin: String,
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
            previous_secrets: previous_secrets(values)?,
            issuer: or_service_name(&JWT_ISSUER)?,
            audience: or_service_name(&JWT_AUDIENCE)?,
            access_token_lifetime: values.read(&ACCESS_TOKEN_EXPIRE_MINUTES)?,
            session_idle_lifetime: values.read(&REFRESH_TOKEN_EXPIRE_DAYS)?,
            session_lifetime: values.read(&SESSION_MAX_DAYS)?,
            max_sessions_per_user: values.read(&MAX_SESSIONS_PER_USER)?,
            secret_origin: values.origin(&JWT_SECRET_KEY).to_owned(),
            previous_secrets_origin: values.origin(&JWT_PREVIOUS_SECRET_KEYS).to_owned(),
        })
    }
}

impl AuthSettings {
    /// Refuses a secret that others could know, for signing and for verifying: whoever knows either makes tokens.
    pub fn check_secret(&self, app_env: AppEnv) -> Result<(), SettingError> {
        if app_env == AppEnv::Test {
            return Ok(());
        }
        let refuse = |expected: &str| SettingError {
            name: JWT_SECRET_KEY.name().to_owned(),
            origin: self.secret_origin.clone(),
            expected: expected.to_owned(),
        };
        let secret = self.secret.as_ref().ok_or_else(|| {
            refuse(
                "a secret, and neither the environment nor .env in this folder has one: \
                 `make setup` writes one there, `openssl rand -hex 32` makes one",
            )
        })?;
        check(secret, app_env).map_err(refuse)?;
        for secret in &self.previous_secrets {
            check(secret, app_env).map_err(|expected| SettingError {
                name: JWT_PREVIOUS_SECRET_KEYS.name().to_owned(),
                origin: self.previous_secrets_origin.clone(),
                // Without the advice to make another.
                expected: expected.split(':').next().unwrap_or(expected).to_owned(),
            })?;
        }
        Ok(())
    }
}

/// What is wrong with a secret.
fn check(secret: &SecretString, app_env: AppEnv) -> Result<(), &'static str> {
    let secret = secret.expose_secret();
    let folded = secret.to_lowercase();
    if secret.len() < MIN_SECRET_BYTES {
        return Err("a secret of at least 32 bytes: make one with `openssl rand -hex 32`");
    }
    if EXAMPLES.iter().any(|example| folded.contains(example)) {
        return Err("a secret that stands in no example: make one with `openssl rand -hex 32`");
    }
    if app_env == AppEnv::Production && is_monotonous(secret) {
        return Err(
            "a secret of more than a few different bytes, in production: \
             make one with `openssl rand -hex 32`",
        );
    }
    Ok(())
}

/// The secrets as they were: one that lost a blank or was cut at a comma would sign everybody out.
///
/// A list in one text cannot hold every secret, so what could be part of one is refused there; in a file of its own each
/// line is a secret, whatever is in it.
fn previous_secrets(values: &Values) -> Result<Vec<SecretString>, SettingError> {
    let Some(text) = values.read(&JWT_PREVIOUS_SECRET_KEYS)? else {
        return Ok(Vec::new());
    };
    let text = text.expose_secret();
    let refuse = |expected| Err(values.unusable(&JWT_PREVIOUS_SECRET_KEYS, expected));
    let secrets: Vec<&str> = if values.is_from_file(&JWT_PREVIOUS_SECRET_KEYS) {
        let lines = text
            .split('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line));
        let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        let is_list = |line: &&str| {
            let mut parts = line.split(',').map(str::trim);
            line.contains(',') && parts.all(|part| part.len() >= MIN_SECRET_BYTES)
        };
        if lines.iter().any(is_list) {
            return refuse("one secret a line in the file, and no commas between them");
        }
        lines
    } else {
        let parts: Vec<_> = text.split(',').collect();
        let is_whole = |part: &&str| !part.is_empty() && *part == part.trim();
        if !parts.iter().all(is_whole) {
            return refuse(
                "secrets separated by commas alone; one that holds a comma, or a blank at its ends, goes into a file, \
                 one secret a line, which JWT_PREVIOUS_SECRET_KEYS_FILE names",
            );
        }
        parts
    };
    Ok(secrets.into_iter().map(SecretString::from).collect())
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

    const OLD: &str = "4b5fcb9a0d6e4f1c8a7b3e2d1f0c9b8a";

    fn previous(pairs: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let values = crate::settings::values(pairs.iter().copied()).unwrap();
        let settings = AuthSettings::read(&values).map_err(|error| error.to_string())?;
        let secrets = settings.previous_secrets.iter();
        Ok(secrets
            .map(|secret| secret.expose_secret().to_owned())
            .collect())
    }

    #[test]
    fn previous_secrets_are_separated_by_commas_alone() {
        let list = |text: &str| previous(&[("JWT_PREVIOUS_SECRET_KEYS", text)]);

        assert_eq!(list(""), Ok(vec![]));
        assert_eq!(list(OLD), Ok(vec![OLD.to_owned()]));
        assert_eq!(
            list(&format!("{OLD},b")),
            Ok(vec![OLD.to_owned(), "b".to_owned()])
        );
        for text in [" a", "a ", "a, b", "a,,b", ",a", "a,", "a\n"] {
            let error = list(text).unwrap_err();
            assert!(error.contains("JWT_PREVIOUS_SECRET_KEYS_FILE"), "{error}");
        }
    }

    #[test]
    fn a_file_has_a_previous_secret_a_line_whatever_is_in_it() {
        let path = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            previous(&[("JWT_PREVIOUS_SECRET_KEYS_FILE", path.to_str().unwrap())])
        };

        assert_eq!(read(&format!("{OLD}\n")), Ok(vec![OLD.to_owned()]));
        let odd = [" a,b ", "c", OLD].map(str::to_owned).to_vec();
        assert_eq!(read(&format!(" a,b \r\nc\n\n{OLD}\n")), Ok(odd));
        // As the list was written before.
        let error = read(&format!("{OLD}, {OLD}\n")).unwrap_err();
        assert!(error.contains("one secret a line"), "{error}");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_previous_secret_is_held_to_what_the_secret_is_held_to() {
        for (secret, app_env, refused) in [
            (OLD, AppEnv::Production, false),
            ("short", AppEnv::Development, true),
            (
                "your-secret-key-change-me-please-32",
                AppEnv::Development,
                true,
            ),
            (
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                AppEnv::Production,
                true,
            ),
            ("short", AppEnv::Test, false),
        ] {
            let list = format!("{OLD},{secret}");
            let pairs = [("JWT_SECRET_KEY", OLD), ("JWT_PREVIOUS_SECRET_KEYS", &list)];
            let values = crate::settings::values(pairs).unwrap();
            let checked = AuthSettings::read(&values).unwrap().check_secret(app_env);

            assert_eq!(checked.is_err(), refused, "{secret}");
            if let Err(error) = checked {
                let error = error.to_string();
                assert!(
                    error.starts_with("JWT_PREVIOUS_SECRET_KEYS (from the environment): "),
                    "{error}"
                );
                assert!(!error.contains(secret), "{error}");
            }
        }
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
