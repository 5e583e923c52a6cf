//! The sources of values, and how they are layered.
//!
//! A later layer wins: defaults, the defaults of the `production` profile, the file named by `CONFIG_FILE`, `.env`, the
//! environment. Each layer is a figment provider whose metadata is the origin as an error shows it, so figment's merge
//! keeps the origin of the value that wins. The file of a secret (`NAME_FILE`) becomes a small layer of its own below
//! the layer that names it: it beats the layers before, and its origin is the file.
//!
//! Every value stays text until its reader sees it. figment would guess a type from the text's look, and turn the
//! password `12345` into a number.

use std::{collections::BTreeMap, env, fmt::Display, fs, path::Path};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value as Figs},
};

use crate::{APP_ENV, AppEnv, Catalogue, Declaration, SettingError, Values, values::Value};

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
    let config_file = environment
        .get(CONFIG_FILE)
        .or_else(|| dotenv.get(CONFIG_FILE))
        .filter(|path| !path.is_empty());
    let mut sources = Vec::new();
    if let Some(path) = config_file {
        sources.push((format!("the file {path}"), read_toml(catalogue, path)?));
    }
    sources.push((".env".to_owned(), dotenv));
    sources.push(("the environment".to_owned(), environment));

    let mut layers = Vec::new();
    for (origin, texts) in sources {
        layers.extend(resolve(catalogue, &origin, texts)?);
    }
    Ok(merge(catalogue, layers))
}

/// Lays the layers over the defaults, and takes the winner for each setting.
fn merge(catalogue: &Catalogue, layers: Vec<Layer>) -> Values {
    let default = defaults(catalogue, DEFAULT, |setting| setting.default);
    let mut given = layers.iter().rev();
    let app_env = given.find_map(|layer| layer.texts.get(APP_ENV.name()));
    let app_env = app_env.or(default.texts.get(APP_ENV.name()));
    let production = app_env.is_some_and(|profile| profile == AppEnv::Production.as_str());

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
        settings.map(|declaration| value_of(&figment, section.title, *declaration))
    });
    Values::new(values.collect())
}

fn value_of(figment: &Figment, section: &'static str, declaration: Declaration) -> Value {
    let found = figment.find_value(declaration.name).ok();
    let text = found.and_then(Figs::into_string);
    let origin = figment.find_metadata(declaration.name);
    let origin = origin.map_or(DEFAULT.to_owned(), |metadata| metadata.name.to_string());
    Value {
        section,
        declaration,
        text: text.filter(|text| !text.is_empty()),
        given: origin != DEFAULT && origin != PRODUCTION_DEFAULT,
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
    if !path.is_file() {
        return Ok(Texts::new());
    }
    let origin = path.display().to_string();
    let lines = dotenvy::from_path_iter(path)
        .map_err(|error| SettingError::new(".env", &origin, format!("a readable file: {error}")))?;
    let texts = lines.collect::<Result<Texts, _>>().map_err(|_| {
        let expected = "lines NAME=value; quote a value with blanks, # or $ in 'single quotes'";
        SettingError::new(".env", &origin, expected)
    })?;
    let texts = texts.into_iter();
    Ok(texts.filter(|(name, _)| is_read(catalogue, name)).collect())
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
        match as_text(&value) {
            Some(text) => Ok((name, text)),
            None => Err(SettingError::new(name, &origin, "a single value or a list")),
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
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

/// Replaces each `*_FILE` by what its file holds. A value left empty counts as not given.
fn resolve(catalogue: &Catalogue, origin: &str, texts: Texts) -> Result<Vec<Layer>, SettingError> {
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
        layers.push(Layer::new(
            &origin_of_secret,
            [(secret.to_owned(), text)].into(),
        ));
    }
    plain.remove(CONFIG_FILE);
    layers.push(Layer::new(origin, plain));
    Ok(layers)
}

/// What a file holds, without the newline that editors put at the end.
fn read_secret(path: &str) -> std::io::Result<String> {
    let text = fs::read_to_string(path)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Names and texts from one origin.
struct Layer {
    origin: String,
    texts: Texts,
}

impl Layer {
    fn new(origin: &str, texts: Texts) -> Self {
        let origin = origin.to_owned();
        Self { origin, texts }
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
