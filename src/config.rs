//! Every setting, gathered from the environment, `.env` and a TOML file.
//!
//! Each module keeps its own [`Section`] beside the code that uses it: a table
//! of names with defaults, and a struct read from it. This module alone looks
//! at the environment. figment does the layering and remembers where each
//! value came from, so that an error and the `config` command can say so.
//!
//! A later layer wins: defaults, the defaults of the `production` profile, the
//! file named by `CONFIG_FILE`, `.env`, the environment.

use std::{
    collections::BTreeMap,
    env,
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};
use secrecy::SecretString;

use crate::{
    database::DatabaseSettings,
    features::{
        identity::{AuthSettings, PasswordSettings},
        limits::LimitSettings,
    },
    server::ServerSettings,
    telemetry::TelemetrySettings,
    web::WebSettings,
};

/// Which profile's defaults apply, by `APP_ENV`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppEnv {
    /// A person's machine: readable logs on a terminal, no TLS asked of the database.
    Development,
    /// Automated tests: a missing secret is made up.
    Test,
    /// Real users: nothing weak is accepted.
    Production,
}

impl FromStr for AppEnv {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "development" => Ok(Self::Development),
            "test" => Ok(Self::Test),
            "production" => Ok(Self::Production),
            _ => Err(()),
        }
    }
}

/// One setting: its name, its default, and what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name in the environment, in `.env` and in the TOML file.
    pub name: &'static str,
    /// The default as it would be written; empty means unset.
    pub default: &'static str,
    /// The default in production, where it differs.
    pub production: Option<&'static str>,
    /// Whether the value is redacted wherever it would be shown, and may come from a `*_FILE`.
    pub secret: bool,
    /// What it is for, in a line.
    pub about: &'static str,
}

impl Setting {
    /// A setting with its default; an empty default means unset.
    #[must_use]
    pub const fn new(name: &'static str, default: &'static str, about: &'static str) -> Self {
        Self {
            name,
            default,
            production: None,
            secret: false,
            about,
        }
    }

    /// Gives it another default when `APP_ENV` is `production`.
    #[must_use]
    pub const fn in_production(mut self, default: &'static str) -> Self {
        self.production = Some(default);
        self
    }

    /// Marks it as secret.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// A module's own share of the settings.
pub trait Section: Sized {
    /// What it asks for; [`Section::read`] may read nothing else.
    const SETTINGS: &'static [Setting];

    /// Turns the values into the types the module uses.
    fn read(values: &Values) -> Result<Self, SettingError>;
}

/// A setting that cannot be used. Never shows the value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} (from {origin}): expected {expected}")]
pub struct SettingError {
    /// The setting, or the source when no single setting is to blame.
    pub name: String,
    /// Where the value came from.
    pub origin: String,
    /// What would have been right.
    pub expected: String,
}

impl SettingError {
    fn new(name: impl Into<String>, origin: impl Into<String>, expected: impl Display) -> Self {
        Self {
            name: name.into(),
            origin: origin.into(),
            expected: expected.to_string(),
        }
    }
}

/// All settings of the service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `APP_ENV`.
    pub app_env: AppEnv,
    /// Addresses, limits and timeouts of the listener.
    pub server: ServerSettings,
    /// Limits and timeouts of a request.
    pub web: WebSettings,
    /// Where PostgreSQL is and how it is used.
    pub database: DatabaseSettings,
    /// Tokens and sessions.
    pub auth: AuthSettings,
    /// Password policy and hashing.
    pub passwords: PasswordSettings,
    /// How eagerly requests may come.
    pub limits: LimitSettings,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
}

const OWN: &[Setting] = &[Setting::new(
    "APP_ENV",
    "development",
    "development, test or production: picks the profile's defaults",
)];

/// Every setting there is, section by section.
#[must_use]
pub fn catalogue() -> Vec<(&'static str, &'static [Setting])> {
    vec![
        ("Profile", OWN),
        ("Server", ServerSettings::SETTINGS),
        ("Requests", WebSettings::SETTINGS),
        ("Database", DatabaseSettings::SETTINGS),
        ("Tokens and sessions", AuthSettings::SETTINGS),
        ("Passwords", PasswordSettings::SETTINGS),
        ("Rate limits", LimitSettings::SETTINGS),
        ("Telemetry", TelemetrySettings::SETTINGS),
    ]
}

/// What `.env.example` says: every setting with its default and its purpose.
#[must_use]
pub fn example() -> String {
    let mut lines = vec![
        "# Every setting with its default. Copy what you change into .env, or set it in the environment,".to_owned(),
        "# which wins. A value with blanks, #, $ or quotes goes into 'single quotes'. Each secret may come".to_owned(),
        "# from a file instead: NAME_FILE=/path.".to_owned(),
    ];
    for (section, settings) in catalogue() {
        lines.push(format!("\n# {section}"));
        for setting in settings {
            let Setting {
                name,
                default,
                about,
                production,
                ..
            } = setting;
            let production =
                production.map_or(String::new(), |value| format!("; {value} in production"));
            lines.push(format!("\n# {about}{production}\n# {name}={default}"));
        }
    }
    lines.join("\n") + "\n"
}

impl Settings {
    /// Reads each section from the values.
    pub fn read(values: &Values) -> Result<Self, SettingError> {
        Ok(Self {
            app_env: values.app_env()?,
            server: ServerSettings::read(values)?,
            web: WebSettings::read(values)?,
            database: DatabaseSettings::read(values)?,
            auth: AuthSettings::read(values)?,
            passwords: PasswordSettings::read(values)?,
            limits: LimitSettings::read(values)?,
            telemetry: TelemetrySettings::read(values)?,
        })
    }
}

/// The effective text of each setting and where it came from.
#[derive(Debug, Clone)]
pub struct Values {
    figment: Figment,
}

impl Values {
    /// The process's own: its environment, `.env` in the current folder, and the file named by `CONFIG_FILE`.
    pub fn load() -> Result<Self, SettingError> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let environment = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name == "CONFIG_FILE" || is_known(name))
            .map(|(name, value)| match value.into_string() {
                Ok(value) => Ok((name, value)),
                Err(_) => Err(SettingError::new(name, "the environment", "text in UTF-8")),
            })
            .collect::<Result<_, _>>()?;
        Self::from_layers(environment, Path::new(".env"))
    }

    /// Only the given pairs over the defaults, as if they were the whole environment.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, SettingError> {
        let environment = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self::from_layers(environment, Path::new(""))
    }

    fn from_layers(
        environment: BTreeMap<String, String>,
        dotenv: &Path,
    ) -> Result<Self, SettingError> {
        let dotenv = read_dotenv(dotenv)?;
        let config_file = environment
            .get("CONFIG_FILE")
            .or_else(|| dotenv.get("CONFIG_FILE"))
            .filter(|path| !path.is_empty());
        let mut layers = Vec::new();
        if let Some(path) = config_file {
            layers.push((format!("the file {path}"), read_toml(path)?));
        }
        layers.push((".env".to_owned(), dotenv));
        layers.push(("the environment".to_owned(), environment));

        let mut resolved = Vec::new();
        for (origin, pairs) in layers {
            resolved.extend(resolve(&origin, pairs)?);
        }
        let app_env = resolved
            .iter()
            .rev()
            .find_map(|layer| layer.pairs.get("APP_ENV"));
        let production = app_env.is_some_and(|profile| profile == "production");

        let mut figment = Figment::from(Pairs::of("default", defaults(|setting| setting.default)));
        if production {
            let stricter = defaults(|setting| setting.production.unwrap_or_default());
            figment = figment.merge(Pairs::of("default in production", stricter));
        }
        for layer in resolved {
            figment = figment.merge(layer);
        }
        Ok(Self { figment })
    }

    /// The profile in force.
    pub fn app_env(&self) -> Result<AppEnv, SettingError> {
        self.get("APP_ENV", "development, test or production")
    }

    /// The text of a setting, `None` when it is unset.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        debug_assert!(
            is_known(name),
            "{name} is read but not listed in its section"
        );
        let value = self.figment.find_value(name).ok()?;
        value.into_string().filter(|text| !text.is_empty())
    }

    /// The same for a secret.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    /// Where the value in force came from, as a person would say it.
    #[must_use]
    pub fn origin(&self, name: &str) -> String {
        self.figment
            .find_metadata(name)
            .map_or_else(|| "default".to_owned(), |found| found.name.to_string())
    }

    /// An error about this setting that names its source.
    #[must_use]
    pub fn unusable(&self, name: &str, expected: impl Display) -> SettingError {
        SettingError::new(name, self.origin(name), expected)
    }

    /// A value that has to be there.
    pub fn get<T: FromStr>(&self, name: &str, expected: &str) -> Result<T, SettingError> {
        self.optional(name, expected)?
            .ok_or_else(|| self.unusable(name, expected))
    }

    /// A value that may be unset.
    pub fn optional<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, SettingError> {
        let parse = |text: String| text.parse().map_err(|_| self.unusable(name, expected));
        self.text(name).map(parse).transpose()
    }

    /// A whole number within bounds.
    pub fn number<T>(&self, name: &str, least: T, most: T) -> Result<T, SettingError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let expected = format!("a whole number from {least} to {most}");
        let number = self.get(name, &expected)?;
        if number < least || number > most {
            return Err(self.unusable(name, expected));
        }
        Ok(number)
    }

    /// A switch: `on`, `off`, `true`, `false`, `1` or `0`.
    pub fn switch(&self, name: &str) -> Result<bool, SettingError> {
        match self.text(name).as_deref() {
            Some("on" | "true" | "1") => Ok(true),
            Some("off" | "false" | "0") => Ok(false),
            _ => Err(self.unusable(name, "on or off")),
        }
    }

    /// Milliseconds, at least `least`.
    pub fn millis(&self, name: &str, least: u64) -> Result<Duration, SettingError> {
        self.number(name, least, 86_400_000)
            .map(Duration::from_millis)
    }

    /// Comma-separated items; none when unset.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        items.map(str::to_owned).collect()
    }
}

fn settings() -> impl Iterator<Item = &'static Setting> {
    catalogue().into_iter().flat_map(|(_, settings)| settings)
}

fn is_known(name: &str) -> bool {
    settings().any(|setting| {
        let file_form = setting.secret && name.strip_suffix("_FILE") == Some(setting.name);
        setting.name == name || file_form
    })
}

fn defaults(pick: impl Fn(&Setting) -> &'static str) -> BTreeMap<String, String> {
    settings()
        .map(|setting| (setting.name.to_owned(), pick(setting).to_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// `.env` when there is one. What a line says is never repeated: it may be a secret.
fn read_dotenv(path: &Path) -> Result<BTreeMap<String, String>, SettingError> {
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let origin = path.display().to_string();
    let lines = dotenvy::from_path_iter(path)
        .map_err(|error| SettingError::new(".env", &origin, format!("a readable file: {error}")))?;
    let pairs = lines.collect::<Result<BTreeMap<_, _>, _>>().map_err(|_| {
        let expected = "lines NAME=value; quote a value with blanks, # or $ in 'single quotes'";
        SettingError::new(".env", &origin, expected)
    })?;
    Ok(pairs
        .into_iter()
        .filter(|(name, _)| name == "CONFIG_FILE" || is_known(name))
        .collect())
}

/// The TOML file, each value as the text it would be in the environment.
fn read_toml(path: &str) -> Result<BTreeMap<String, String>, SettingError> {
    let origin = format!("the file {path}");
    let unreadable = |why: &dyn Display| SettingError::new("CONFIG_FILE", &origin, why);
    let text = fs::read_to_string(path)
        .map_err(|error| unreadable(&format!("a file that can be read: {error}")))?;
    let data = Toml::string(&text)
        .data()
        .map_err(|error| unreadable(&format!("TOML{}", place_in(&error.kind.to_string()))))?;
    let dict = data.into_values().flatten();
    dict.map(|(name, value)| {
        if !is_known(&name) {
            return Err(SettingError::new(
                name,
                &origin,
                "a setting of this service",
            ));
        }
        match as_text(&value) {
            Some(text) => Ok((name, text)),
            None => Err(SettingError::new(name, &origin, "a single value or a list")),
        }
    })
    .collect()
}

/// Where a mistake is, without the line that the parser quotes: it may hold a secret.
fn place_in(complaint: &str) -> String {
    let place = complaint.strip_prefix("TOML parse error at ");
    let place = place.and_then(|rest| rest.lines().next());
    place.map_or(String::new(), |place| {
        format!(": there is a mistake at {place}")
    })
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, switch) => Some(switch.to_string()),
        Value::Num(_, number) => number
            .to_i128()
            .map(|whole| whole.to_string())
            .or_else(|| number.to_u128().map(|whole| whole.to_string()))
            .or_else(|| number.to_f64().map(|real| real.to_string())),
        Value::Array(_, items) => {
            let items: Option<Vec<_>> = items.iter().map(as_text).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

/// Replaces each `*_FILE` by what its file holds. A value left empty counts as not given.
fn resolve(origin: &str, pairs: BTreeMap<String, String>) -> Result<Vec<Pairs>, SettingError> {
    let mut plain = BTreeMap::new();
    let mut layers = Vec::new();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let secret = name
            .strip_suffix("_FILE")
            .filter(|stem| settings().any(|setting| setting.secret && setting.name == *stem));
        let Some(secret) = secret else {
            plain.insert(name.clone(), value.clone());
            continue;
        };
        if pairs.get(secret).is_some_and(|text| !text.is_empty()) {
            let expected = format!("either {secret} or {name}, not both");
            return Err(SettingError::new(name, origin, expected));
        }
        let text = fs::read_to_string(PathBuf::from(value)).map_err(|error| {
            SettingError::new(name, origin, format!("a file that can be read: {error}"))
        })?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text).to_owned();
        let origin = format!("the file named by {name}");
        layers.push(Pairs::of(&origin, [(secret.to_owned(), text)].into()));
    }
    plain.remove("CONFIG_FILE");
    layers.push(Pairs::of(origin, plain));
    Ok(layers)
}

/// Names and texts from one source. Nothing is guessed from a text's look, so
/// that the password `12345` or `true` stays what it is.
struct Pairs {
    origin: String,
    pairs: BTreeMap<String, String>,
}

impl Pairs {
    fn of(origin: &str, pairs: BTreeMap<String, String>) -> Self {
        let origin = origin.to_owned();
        Self { origin, pairs }
    }
}

impl Provider for Pairs {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dict = self.pairs.iter();
        let dict = dict.map(|(name, text)| (name.clone(), Value::from(text.clone())));
        Ok(Profile::Default.collect(dict.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example");

        let written = fs::read_to_string(path).unwrap_or_default();

        assert_eq!(
            written,
            example(),
            "write it anew: cargo run -q -- config --example > .env.example"
        );
    }

    #[test]
    fn names_are_unique_and_sections_read_only_what_they_list() {
        let mut names: Vec<_> = settings().map(|setting| setting.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();

        assert_eq!(names.len(), count);
        // An unlisted name would trip the assertion in `Values::text`.
        assert!(Settings::read(&Values::from_pairs([("APP_ENV", "production")]).unwrap()).is_ok());
    }

    #[test]
    fn a_value_that_looks_like_something_else_stays_what_it_is() {
        for password in ["12345", "true", "[1, 2]", "{a}", " ", "0x10", "1e3"] {
            let values = Values::from_pairs([("DB_PASSWORD", password)]).unwrap();
            assert_eq!(values.text("DB_PASSWORD").as_deref(), Some(password));
        }
    }

    #[test]
    fn an_unusable_value_names_its_setting_its_source_and_what_was_expected() {
        let values = Values::from_pairs([("PORT", "eighty")]).unwrap();

        let error = Settings::read(&values).unwrap_err();

        assert_eq!(
            error.to_string(),
            "PORT (from the environment): expected a whole number from 0 to 65535"
        );
    }

    #[test]
    fn production_has_defaults_of_its_own() {
        let values = Values::from_pairs([("APP_ENV", "production")]).unwrap();

        assert_eq!(values.text("DB_SSLMODE").as_deref(), Some("require"));
        assert_eq!(values.origin("DB_SSLMODE"), "default in production");
        let values =
            Values::from_pairs([("APP_ENV", "production"), ("DB_SSLMODE", "disable")]).unwrap();
        assert_eq!(values.text("DB_SSLMODE").as_deref(), Some("disable"));
    }
}
