//! The sources of values, and how they are layered.
//!
//! A later layer wins: defaults, the defaults of the `production` profile, the file named by `CONFIG_FILE`, `.env`, the
//! environment. Each layer is a figment provider whose metadata is the origin as an error shows it, so figment's merge
//! keeps the origin of the value that wins. The file of a secret (`NAME_FILE`) becomes a small layer of its own below
//! the layer that names it: it beats the layers before, and its origin is the file.
//!
//! Every value stays text until its reader sees it. figment would guess a type from the text's look, and turn the
//! password `12345` into a number.

use std::{collections::BTreeMap, env, fmt::Display, fs, io, path::Path};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value as Figs},
};

use crate::{
    APP_ENV, AppEnv, Catalogue, Declaration, SettingError, Values, dotenv,
    values::{Value, without_credentials},
};

/// Names the TOML file. It is not a setting: it has no default and is not listed.
const CONFIG_FILE: &str = "CONFIG_FILE";

const DEFAULT: &str = "default";
const PRODUCTION_DEFAULT: &str = "default in production";

type Texts = BTreeMap<String, String>;

pub(crate) fn load(catalogue: &Catalogue) -> Result<Values, SettingError> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let environment = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| is_read(catalogue, name))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(SettingError::new(name, "the environment", "text in UTF-8")),
        })
        .collect::<Result<_, _>>()?;
    from_layers(catalogue, environment, Some(Path::new(".env")))
}

pub(crate) fn from_layers(
    catalogue: &Catalogue,
    environment: Texts,
    dotenv: Option<&Path>,
) -> Result<Values, SettingError> {
    let dotenv = dotenv.map_or(Ok(Texts::new()), |path| read_dotenv(catalogue, path))?;
    let is_given = |path: &&String| !path.is_empty();
    let config_file = environment
        .get(CONFIG_FILE)
        .filter(is_given)
        .or_else(|| dotenv.get(CONFIG_FILE).filter(is_given));
    let mut sources = Vec::new();
    if let Some(path) = config_file {
        sources.push((format!("the file {path}"), read_toml(catalogue, path)?));
    }
    sources.push((".env".to_owned(), dotenv));
    sources.push(("the environment".to_owned(), environment));

    let mut layers = Vec::new();
    for (origin, texts) in sources {
        layers.extend(resolve(catalogue, &origin, &texts)?);
    }
    Ok(merge(catalogue, layers))
}

/// The values of this `.env` alone.
pub(crate) fn from_dotenv(catalogue: &Catalogue, path: &Path) -> Result<Values, SettingError> {
    from_layers(catalogue, Texts::new(), Some(path))
}

/// Lays the layers over the defaults, and takes the winner for each setting.
fn merge(catalogue: &Catalogue, layers: Vec<Layer>) -> Values {
    let default = defaults(catalogue, DEFAULT, |setting| setting.default);
    let mut given = layers.iter().rev();
    let app_env = given.find_map(|layer| layer.texts.get(APP_ENV.name()));
    let app_env = app_env.or(default.texts.get(APP_ENV.name()));
    let production = app_env.is_some_and(|profile| profile == AppEnv::Production.as_str());

    // The last one counts: by its file, or by what it says itself.
    let given: BTreeMap<String, bool> = layers
        .iter()
        .flat_map(|layer| layer.texts.keys().map(|name| (name.clone(), layer.is_file)))
        .collect();

    let mut figment = Figment::from(default);
    if production {
        let stricter = |setting: &Declaration| setting.production.unwrap_or_default();
        figment = figment.merge(defaults(catalogue, PRODUCTION_DEFAULT, stricter));
    }
    for layer in layers {
        figment = figment.merge(layer);
    }

    let sections = catalogue.sections().iter();
    let values = sections.flat_map(|section| {
        let settings = section.settings.iter();
        settings.map(|declaration| {
            let given = given.get(declaration.name).copied();
            value_of(&figment, section.title, *declaration, given)
        })
    });
    Values::new(values.collect())
}

/// The value in force. `given` is whether a source gave it, and then whether that was the file of a secret.
fn value_of(
    figment: &Figment,
    section: &'static str,
    declaration: Declaration,
    given: Option<bool>,
) -> Value {
    let found = figment.find_value(declaration.name).ok();
    let text = found.and_then(Figs::into_string);
    let origin = figment.find_metadata(declaration.name);
    let origin = origin.map_or(DEFAULT.to_owned(), |metadata| metadata.name.to_string());
    let text = text.filter(|text| !text.is_empty());
    Value {
        section,
        declaration,
        shown: text.as_deref().map(without_credentials),
        text,
        given: given.is_some(),
        from_file: given.unwrap_or_default(),
        origin,
    }
}

fn defaults(
    catalogue: &Catalogue,
    origin: &str,
    pick: impl Fn(&Declaration) -> &'static str,
) -> Layer {
    let texts = catalogue
        .settings()
        .map(|setting| (setting.name.to_owned(), pick(setting).to_owned()))
        .filter(|(_, text)| !text.is_empty());
    Layer::new(origin, texts.collect())
}

fn is_read(catalogue: &Catalogue, name: &str) -> bool {
    name == CONFIG_FILE || catalogue.is_known(name)
}

/// `.env`, when there is one. No line of it is repeated in an error: it may be a secret.
fn read_dotenv(catalogue: &Catalogue, path: &Path) -> Result<Texts, SettingError> {
    let origin = path.display();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Texts::new()),
        Err(error) => {
            let expected = format!("a file that can be read: {error}");
            return Err(SettingError::new(".env", origin.to_string(), expected));
        }
    };
    let refuse = |line: usize, expected: &str| {
        SettingError::new(".env", format!("{origin}, line {line}"), expected)
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        refuse(line, "text in UTF-8")
    })?;
    dotenv::parse(text, |name| is_read(catalogue, name))
        .map_err(|bad| refuse(bad.number, bad.expected))
}

/// The TOML file, each value as the text it would be in the environment. Unlike the environment, which belongs to the
/// whole machine, the file is the service's own: a name that it does not know is a mistake.
fn read_toml(catalogue: &Catalogue, path: &str) -> Result<Texts, SettingError> {
    let origin = format!("the file {path}");
    let unreadable = |why: &dyn Display| SettingError::new(CONFIG_FILE, &origin, why);
    let text = fs::read_to_string(path)
        .map_err(|error| unreadable(&format!("a file that can be read: {error}")))?;
    let data = Toml::string(&text)
        .data()
        .map_err(|error| unreadable(&format!("TOML{}", place_in(&error.kind.to_string()))))?;
    let dict = data.into_values().flatten();
    dict.map(|(name, value)| {
        if !catalogue.is_known(&name) {
            let expected = "a setting of this service";
            return Err(SettingError::new(name, &origin, expected));
        }
        let declaration = catalogue.find(&name);
        if declaration.is_some_and(|declaration| declaration.secret) && !is_text(&value) {
            // The password 1e3 would be 1000.
            return Err(SettingError::new(name, &origin, "a text in quotes"));
        }
        match as_text(&value) {
            Some(text) => Ok((name, text)),
            None => Err(SettingError::new(
                name,
                &origin,
                "a single value, or a list whose items hold no comma",
            )),
        }
    })
    .collect()
}

/// The place of a mistake, without the line that the parser quotes: it may hold a secret.
fn place_in(complaint: &str) -> String {
    let place = complaint.strip_prefix("TOML parse error at ");
    let place = place.and_then(|rest| rest.lines().next());
    place.map_or(String::new(), |place| {
        format!(": there is a mistake at {place}")
    })
}

/// Whether a value is text, or a list of texts: what it is in the file, it stays.
fn is_text(value: &Figs) -> bool {
    match value {
        Figs::String(..) => true,
        Figs::Array(_, items) => items.iter().all(is_text),
        _ => false,
    }
}

fn as_text(value: &Figs) -> Option<String> {
    match value {
        Figs::String(_, text) => Some(text.clone()),
        Figs::Bool(_, switch) => Some(switch.to_string()),
        Figs::Num(_, number) => number
            .to_i128()
            .map(|whole| whole.to_string())
            .or_else(|| number.to_u128().map(|whole| whole.to_string()))
            .or_else(|| number.to_f64().map(|real| real.to_string())),
        Figs::Array(_, items) => {
            let items: Option<Vec<_>> = items.iter().map(as_text).collect();
            let items = items.filter(|items| !items.iter().any(|item| item.contains(',')));
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

/// Replaces each `*_FILE` by what its file holds. A value left empty counts as not given.
fn resolve(catalogue: &Catalogue, origin: &str, texts: &Texts) -> Result<Vec<Layer>, SettingError> {
    let mut plain = Texts::new();
    let mut layers = Vec::new();
    for (name, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
        let Some(secret) = catalogue.secret_by_file(name) else {
            plain.insert(name.clone(), text.clone());
            continue;
        };
        let secret = secret.name;
        if texts.get(secret).is_some_and(|text| !text.is_empty()) {
            let expected = format!("either {secret} or {name}, not both");
            return Err(SettingError::new(name, origin, expected));
        }
        let origin_of_secret = format!("the file named by {name}");
        let text = read_secret(text).map_err(|error| {
            SettingError::new(name, origin, format!("a file that can be read: {error}"))
        })?;
        if text.is_empty() {
            return Err(SettingError::new(name, origin, "a file that is not empty"));
        }
        layers.push(Layer {
            is_file: true,
            ..Layer::new(&origin_of_secret, [(secret.to_owned(), text)].into())
        });
    }
    plain.remove(CONFIG_FILE);
    layers.push(Layer::new(origin, plain));
    Ok(layers)
}

/// What a file holds, without the newline that editors put at the end.
fn read_secret(path: &str) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Names and texts from one origin.
struct Layer {
    origin: String,
    texts: Texts,
    /// Whether this is what the file of a secret holds.
    is_file: bool,
}

impl Layer {
    fn new(origin: &str, texts: Texts) -> Self {
        let origin = origin.to_owned();
        Self {
            origin,
            texts,
            is_file: false,
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dict = self.texts.iter();
        let dict = dict.map(|(name, text)| (name.clone(), Figs::from(text.clone())));
        Ok(Profile::Default.collect(dict.collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::PathBuf,
        process,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;
    use crate::{
        ExposeSecret, SecretString, Section, Setting, Shown, list, number, optional, secret,
        settings, switch, text,
    };

    settings! {
        /// how many
        #[production = "5"]
        COUNT: u32 = "3", number(1..=9000);

        /// what opens the door
        #[secret]
        KEY: Option<SecretString>, optional(secret());

        /// what is taken along
        ITEMS: Vec<String> = "bread,wine", list(text("an item"));

        /// whether it rains
        RAIN: bool = "off", switch();
    }

    struct Walk;

    impl Section for Walk {
        const TITLE: &'static str = "Walk";
        const SETTINGS: &'static [Declaration] = SETTINGS;

        fn read(_: &Values) -> Result<Self, SettingError> {
            Ok(Self)
        }
    }

    /// A folder of this test's own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("chassis-settings-{}-{number}", process::id());
            let path = env::temp_dir().join(name);
            // Fails where another has made one of this name.
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> String {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // A folder that stays is no failure of the test.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn load(environment: &[(&str, &str)], dotenv: Option<&str>) -> Result<Values, SettingError> {
        let catalogue = Catalogue::new().section::<Walk>();
        let environment = environment.iter();
        let environment = environment.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        from_layers(&catalogue, environment.collect(), dotenv.map(Path::new))
    }

    fn complaint(result: Result<Values, SettingError>) -> String {
        result.unwrap_err().to_string()
    }

    fn key(values: &Values) -> String {
        let key = values.read(&KEY).unwrap().unwrap();
        key.expose_secret().to_owned()
    }

    #[test]
    fn a_later_layer_wins_and_its_name_stays_with_the_value() {
        let folder = Folder::new();
        let toml = folder.write("settings.toml", "COUNT = 10\n");
        let dotenv = folder.write(".env", &format!("CONFIG_FILE={toml}\nexport COUNT=20\n"));
        let only_toml = folder.write("other.env", &format!("CONFIG_FILE='{toml}'\nOTHER=1\n"));
        let in_toml = format!("the file {toml}");

        for (environment, dotenv, count, origin) in [
            (&[][..], None, 3, "default"),
            (
                &[("APP_ENV", "production")],
                None,
                5,
                "default in production",
            ),
            (&[("APP_ENV", "production")], Some(&only_toml), 10, &in_toml),
            (&[], Some(&dotenv), 20, ".env"),
            (&[("COUNT", "30")], Some(&dotenv), 30, "the environment"),
            (&[("COUNT", "")], Some(&dotenv), 20, ".env"),
            (&[("CONFIG_FILE", "")], Some(&only_toml), 10, &in_toml),
        ] {
            let values = load(environment, dotenv.map(String::as_str)).unwrap();

            assert_eq!(values.read(&COUNT), Ok(count));
            assert_eq!(values.origin(&COUNT), origin);
            assert_eq!(values.is_given(&COUNT), !origin.starts_with("default"));
        }
    }

    #[test]
    fn the_profile_may_be_chosen_in_any_layer() {
        let folder = Folder::new();
        let toml = folder.write("settings.toml", "APP_ENV = \"production\"\n");

        let values = load(&[("CONFIG_FILE", &toml)], None).unwrap();
        let by_default = Catalogue::new().section::<Walk>();
        let by_default = by_default.with_default(&APP_ENV, "production");
        let by_default = by_default.load_pairs([("", ""); 0]).unwrap();

        for values in [values, by_default] {
            assert_eq!(values.app_env(), Ok(AppEnv::Production));
            assert_eq!(values.read(&COUNT), Ok(5));
        }
        let values = load(&[("CONFIG_FILE", &toml), ("APP_ENV", "test")], None).unwrap();
        assert_eq!(values.read(&COUNT), Ok(3));
    }

    #[test]
    fn toml_has_types_and_only_known_names() {
        let folder = Folder::new();
        let read = |text| {
            load(
                &[("CONFIG_FILE", &folder.write("settings.toml", text))],
                None,
            )
        };

        let values = read("COUNT = 7\nRAIN = true\nITEMS = [\"a\", \"b\"]\nKEY = \"7\"\n").unwrap();

        assert_eq!(values.read(&COUNT), Ok(7));
        assert_eq!(values.read(&RAIN), Ok(true));
        assert_eq!(
            values.read(&ITEMS),
            Ok(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(key(&values), "7");
        let error = complaint(read("CUONT = 7\n"));
        assert!(error.starts_with("CUONT (from the file "), "{error}");
        assert!(
            error.ends_with("): expected a setting of this service"),
            "{error}"
        );
        let error = complaint(read("[COUNT]\nx = 1\n"));
        assert!(
            error.ends_with("): expected a single value, or a list whose items hold no comma"),
            "{error}"
        );
    }

    #[test]
    fn a_secret_in_toml_is_text() {
        let folder = Folder::new();
        for value in ["7", "0x1F", "1e3", "1.50", "1_000", "true", "[7]"] {
            let toml = folder.write("settings.toml", &format!("KEY = {value}\n"));
            let error = complaint(load(&[("CONFIG_FILE", &toml)], None));
            assert!(error.starts_with("KEY (from the file "), "{error}");
            assert!(error.ends_with("expected a text in quotes"), "{error}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_parsed_is_not_repeated() {
        let folder = Folder::new();
        let toml = folder.write("settings.toml", "\nKEY = hunter2\n");
        let dotenv = folder.write(".env", "KEY=hunter2 and more\n");

        let error = complaint(load(&[("CONFIG_FILE", &toml)], None));
        assert!(
            error.contains("expected TOML: there is a mistake at line 2"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
        let error = complaint(load(&[], Some(&dotenv)));
        assert_eq!(
            error,
            format!(
                ".env (from {dotenv}, line 1): expected a value with blanks, #, $, `, quotes or a backslash in 'single quotes'"
            )
        );
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_unless_it_is_dotenv() {
        let error = complaint(load(&[("CONFIG_FILE", "/nowhere.toml")], None));
        assert!(
            error.starts_with(
                "CONFIG_FILE (from the file /nowhere.toml): expected a file that can be read: "
            ),
            "{error}"
        );
        let error = complaint(load(&[("KEY_FILE", "/nowhere")], None));
        assert!(
            error
                .starts_with("KEY_FILE (from the environment): expected a file that can be read: "),
            "{error}"
        );
        assert!(load(&[], Some("/nowhere/.env")).is_ok());
    }

    #[test]
    fn a_secret_may_come_from_a_file_without_its_last_newline() {
        let folder = Folder::new();
        for (written, meant) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a", "a"),
            ("a\n\n", "a\n"),
            (" a b ", " a b "),
        ] {
            let path = folder.write("key", written);

            let values = load(&[("KEY_FILE", &path), ("KEY", "")], None).unwrap();

            assert_eq!(key(&values), meant);
            assert_eq!(values.origin(&KEY), "the file named by KEY_FILE");
        }
    }

    #[test]
    fn an_empty_file_is_no_secret() {
        let folder = Folder::new();
        let plain = folder.write("plain.env", "KEY=plain\n");
        for written in ["", "\n", "\r\n"] {
            let path = folder.write("key", written);

            let error = complaint(load(&[("KEY_FILE", &path)], Some(&plain)));

            assert_eq!(
                error,
                "KEY_FILE (from the environment): expected a file that is not empty"
            );
        }
    }

    #[test]
    fn a_secret_knows_whether_it_comes_from_its_file() {
        let folder = Folder::new();
        let path = folder.write("key", "from a file");
        let plain = folder.write("plain.env", "KEY=plain\n");
        let by_file = folder.write("file.env", &format!("KEY_FILE={path}\n"));
        let is_from_file = |environment: &[(&str, &str)], dotenv: &str| {
            let values = load(environment, Some(dotenv)).unwrap();
            values.is_from_file(&KEY)
        };

        assert!(is_from_file(&[], &by_file));
        assert!(is_from_file(&[("KEY_FILE", &path)], &plain));
        assert!(!is_from_file(&[], &plain));
        assert!(!is_from_file(&[("KEY", "plain")], &by_file));
    }

    #[test]
    fn dotenv_is_text_with_or_without_a_mark_and_a_mistake_has_its_line() {
        let folder = Folder::new();
        let read = |bytes: &[u8]| {
            let path = folder.0.join(".env");
            fs::write(&path, bytes).unwrap();
            load(&[], path.to_str())
        };

        let values = read(b"\xef\xbb\xbfCOUNT=7\r\nMY-VAR=1\r\nTITLE=My App\r\n").unwrap();
        assert_eq!(values.read(&COUNT), Ok(7));
        let error = complaint(read(b"COUNT=7\nKEY=\xe9\n"));
        assert!(
            error.ends_with(", line 2): expected text in UTF-8"),
            "{error}"
        );
        let error = complaint(read(b"COUNT=7\n\nKEY=a b\n"));
        assert!(error.contains(", line 3): expected "), "{error}");
        let error = complaint(load(&[], folder.0.to_str()));
        assert!(error.starts_with(".env (from "), "{error}");
    }

    #[test]
    fn the_items_of_a_list_in_toml_stay_what_they_are() {
        let folder = Folder::new();
        let toml = folder.write("settings.toml", "ITEMS = [\"a,b\"]\n");

        let error = complaint(load(&[("CONFIG_FILE", &toml)], None));

        assert!(error.ends_with("whose items hold no comma"), "{error}");
    }

    #[test]
    fn credentials_in_an_address_are_not_listed() {
        for (text, shown) in [
            (
                "http://user:hunter2@host:4318/v1",
                "http://(redacted)@host:4318/v1",
            ),
            ("http://hunter2@host", "http://(redacted)@host"),
            ("http://user:hun/ter2@host", "http://(redacted)@host"),
            ("http://user:hun@ter2@host", "http://(redacted)@host"),
            ("https://a, https://u:hunter2@b", "https://(redacted)@b"),
            ("me@example.com", "me@example.com"),
            ("https://example.com/a", "https://example.com/a"),
        ] {
            let values = load(&[("ITEMS", text)], None).unwrap();
            let listed = values.entries().find(|entry| entry.name == "ITEMS");

            let listed = listed.unwrap().value;
            assert_eq!(listed, Shown::Text(shown));
            assert!(!format!("{values:?}").contains("ter2"));
        }
    }

    #[test]
    fn both_forms_of_a_secret_are_refused_in_one_layer_only() {
        let folder = Folder::new();
        let path = folder.write("key", "from a file");
        let plain = folder.write("plain.env", "KEY=plain\n");
        let by_file = folder.write("file.env", &format!("KEY_FILE={path}\n"));

        assert_eq!(
            complaint(load(&[("KEY", "plain"), ("KEY_FILE", &path)], None)),
            "KEY_FILE (from the environment): expected either KEY or KEY_FILE, not both"
        );
        let values = load(&[("KEY_FILE", &path)], Some(&plain)).unwrap();
        assert_eq!(key(&values), "from a file");
        let values = load(&[("KEY", "plain")], Some(&by_file)).unwrap();
        assert_eq!(key(&values), "plain");
    }

    #[test]
    fn only_secrets_come_from_files() {
        let folder = Folder::new();
        let toml = folder.write("settings.toml", "COUNT_FILE = \"/etc/count\"\n");

        let error = complaint(load(&[("CONFIG_FILE", &toml)], None));

        assert!(error.starts_with("COUNT_FILE (from the file "), "{error}");
    }

    #[test]
    fn a_value_that_looks_like_something_else_stays_what_it_is() {
        for text in ["12345", "true", "[1, 2]", "{a}", " ", "0x10", "1e3"] {
            assert_eq!(key(&load(&[("KEY", text)], None).unwrap()), text);
        }
    }

    #[test]
    fn no_listing_shows_a_secret() {
        let values = load(&[("KEY", "hunter2"), ("COUNT", "4")], None).unwrap();

        let lines = values
            .entries()
            .map(|entry| format!("{} {:>10} {}", entry.name, entry.value, entry.origin));

        let lines: Vec<_> = lines.collect();
        assert!(
            lines.contains(&"KEY (redacted) the environment".to_owned()),
            "{lines:?}"
        );
        assert!(
            lines.contains(&"COUNT          4 the environment".to_owned()),
            "{lines:?}"
        );
        let values = format!("{values:?}");
        assert!(
            values.contains("KEY") && !values.contains("hunter2"),
            "{values}"
        );
    }

    #[test]
    fn an_error_names_setting_source_and_expectation() {
        let values = load(&[("COUNT", "many")], None).unwrap();

        let unusable = |error: SettingError| error.to_string();

        assert_eq!(
            values.read(&COUNT).map_err(unusable),
            Err("COUNT (from the environment): expected a whole number from 1 to 9000".to_owned())
        );
        let narrower = values.read_with(&COUNT, &number(1..=2));
        assert_eq!(
            narrower.map_err(unusable),
            Err("COUNT (from the environment): expected a whole number from 1 to 2".to_owned())
        );
    }

    #[test]
    fn a_setting_that_no_section_lists_is_an_error_and_not_a_default() {
        let values = Catalogue::new().load_pairs([("COUNT", "4")]).unwrap();

        assert!(values.read(&COUNT).is_err());
        let never: &Setting<_> = &RAIN;
        assert!(!values.is_set(never) && !values.is_given(never));
    }
}
