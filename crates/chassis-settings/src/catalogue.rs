//! The catalogue: which settings there are, section by section.

use std::path::Path;

use crate::{AppEnv, Declaration, Setting, SettingError, Values, sources};

/// A part's own share of the settings: what it declares, and the struct it reads them into.
pub trait Section: Sized {
    /// The heading above these settings in `.env.example` and other lists.
    const TITLE: &'static str;

    /// The settings that belong to this section: the `SETTINGS` that [`settings!`](crate::settings) makes.
    const SETTINGS: &'static [Declaration];

    /// Reads the settings into the types that the part uses.
    fn read(values: &Values) -> Result<Self, SettingError>;
}

/// A section as the catalogue lists it.
#[derive(Debug, Clone)]
pub struct CatalogueSection {
    /// The heading.
    pub title: &'static str,
    /// The settings, with the defaults that the service gives.
    pub settings: Vec<Declaration>,
}

/// Every setting of a service. Nothing is global: the service makes the catalogue and loads [`Values`] with it.
///
/// ```
/// use chassis_settings::{Catalogue, Declaration, Section, SettingError, Values, settings, text};
///
/// settings! {
///     /// what the service calls itself
///     pub SERVICE_NAME: String, text("a name");
/// }
///
/// struct Telemetry {
///     service_name: String,
/// }
///
/// impl Section for Telemetry {
///     const TITLE: &'static str = "Telemetry";
///     const SETTINGS: &'static [Declaration] = SETTINGS;
///
///     fn read(values: &Values) -> Result<Self, SettingError> {
///         Ok(Self { service_name: values.read(&SERVICE_NAME)? })
///     }
/// }
///
/// let catalogue = Catalogue::new().section::<Telemetry>().with_default(&SERVICE_NAME, "notes");
///
/// let values = catalogue.load_pairs([("APP_ENV", "test")])?;
/// assert_eq!(Telemetry::read(&values)?.service_name, "notes");
/// # Ok::<_, SettingError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Catalogue {
    sections: Vec<CatalogueSection>,
}

impl Catalogue {
    /// A catalogue with `APP_ENV` alone, which every service has.
    #[must_use]
    pub fn new() -> Self {
        let sections = Vec::new();
        Self { sections }.section::<AppEnv>()
    }

    /// Adds a section after those that are there.
    ///
    /// # Panics
    ///
    /// When another section has a setting of the same name.
    #[must_use]
    pub fn section<S: Section>(mut self) -> Self {
        for (index, declaration) in S::SETTINGS.iter().enumerate() {
            let name = declaration.name;
            let mut before = S::SETTINGS[..index].iter();
            let taken = self.find(name).is_some() || before.any(|other| other.name == name);
            assert!(!taken, "two settings are called {name}");
        }
        self.sections.push(CatalogueSection {
            title: S::TITLE,
            settings: S::SETTINGS.to_vec(),
        });
        self
    }

    /// Gives a setting the default of this service, which its section cannot know, like the name of the product.
    ///
    /// # Panics
    ///
    /// When no section that was added so far has the setting.
    #[must_use]
    pub fn with_default<T>(mut self, setting: &Setting<T>, default: &'static str) -> Self {
        let name = setting.name();
        let settings = self
            .sections
            .iter_mut()
            .flat_map(|section| &mut section.settings);
        let mut found = settings.filter(|declaration| declaration.name == name);
        let found = found
            .next()
            .unwrap_or_else(|| panic!("no section has {name}"));
        found.default = default;
        self
    }

    /// The sections, in the order in which they were added.
    #[must_use]
    pub fn sections(&self) -> &[CatalogueSection] {
        &self.sections
    }

    /// Every setting, section by section.
    pub fn settings(&self) -> impl Iterator<Item = &Declaration> {
        self.sections.iter().flat_map(|section| &section.settings)
    }

    /// The setting of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Declaration> {
        self.settings().find(|declaration| declaration.name == name)
    }

    /// Whether a name means something: a setting's own, or that of a secret with `_FILE` behind it.
    #[must_use]
    pub fn is_known(&self, name: &str) -> bool {
        self.find(name).is_some() || self.secret_by_file(name).is_some()
    }

    /// The secret whose value is in the file that `name` points to: `DB_PASSWORD` for `DB_PASSWORD_FILE`.
    pub(crate) fn secret_by_file(&self, name: &str) -> Option<&Declaration> {
        let stem = name.strip_suffix("_FILE")?;
        self.find(stem).filter(|declaration| declaration.secret)
    }

    /// The process's own values: its environment, `.env` in the current folder, and the file named by `CONFIG_FILE`.
    pub fn load(&self) -> Result<Values, SettingError> {
        sources::load(self)
    }

    /// The values of this `.env` alone, without the environment: for tests of what else reads the file.
    pub fn load_dotenv(&self, path: &Path) -> Result<Values, SettingError> {
        sources::from_dotenv(self, path)
    }

    /// Values from the given pairs as if they were the whole environment, without `.env`: for tests.
    pub fn load_pairs<K: Into<String>, V: Into<String>>(
        &self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Values, SettingError> {
        let pairs = pairs.into_iter();
        let environment = pairs.map(|(name, value)| (name.into(), value.into()));
        sources::from_layers(self, environment.collect(), None)
    }

    /// The text of `.env.example`: every setting with its default and what it is for.
    #[must_use]
    pub fn example(&self) -> String {
        let mut lines = vec![
            "# Every setting with its default. Copy what you change into .env, or set it in the environment,".to_owned(),
            "# which wins. A value with blanks, #, $ or quotes goes into 'single quotes'. Each secret may come".to_owned(),
            "# from a file instead: NAME_FILE=/path.".to_owned(),
        ];
        for section in &self.sections {
            lines.push(format!("\n# {}", section.title));
            for declaration in &section.settings {
                let Declaration {
                    name,
                    default,
                    about,
                    ..
                } = declaration;
                let production = declaration.production;
                let production =
                    production.map_or(String::new(), |value| format!("; {value} in production"));
                lines.push(format!("\n# {about}{production}\n# {name}={default}"));
            }
        }
        lines.join("\n") + "\n"
    }
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SecretString, number, optional, secret, settings, text};

    settings! {
        /// what the service calls itself
        NAME: String, text("a name");

        /// how many
        #[production = "5"]
        COUNT: u32 = "3", number(1..=9);

        /// what opens the door
        #[secret]
        KEY: Option<SecretString>, optional(secret());
    }

    struct Door;

    impl Section for Door {
        const TITLE: &'static str = "Door";
        const SETTINGS: &'static [Declaration] = SETTINGS;

        fn read(_: &Values) -> Result<Self, SettingError> {
            Ok(Self)
        }
    }

    fn catalogue() -> Catalogue {
        Catalogue::new().section::<Door>()
    }

    #[test]
    fn the_example_shows_each_setting_with_its_defaults() {
        let example = catalogue().with_default(&NAME, "notes").example();

        let settings = example.split_once("\n\n").unwrap().1;
        assert_eq!(
            settings,
            "# Profile\n\n\
             # development, test or production: picks the profile's defaults\n# APP_ENV=development\n\n\
             # Door\n\n\
             # what the service calls itself\n# NAME=notes\n\n\
             # how many; 5 in production\n# COUNT=3\n\n\
             # what opens the door\n# KEY=\n"
        );
    }

    #[test]
    fn a_name_is_known_as_it_is_and_with_file_behind_a_secret() {
        let catalogue = catalogue();

        for (name, known) in [
            ("APP_ENV", true),
            ("COUNT", true),
            ("KEY", true),
            ("KEY_FILE", true),
            ("COUNT_FILE", false),
            ("KEY_FILE_FILE", false),
            ("count", false),
            ("CONFIG_FILE", false),
        ] {
            assert_eq!(catalogue.is_known(name), known, "{name}");
        }
    }

    #[test]
    fn a_default_of_the_service_counts_as_a_default() {
        let catalogue = catalogue().with_default(&NAME, "notes");
        let read = |pairs: &[(&str, &str)]| {
            let values = catalogue.load_pairs(pairs.iter().copied()).unwrap();
            (values.read(&NAME).unwrap(), values.origin(&NAME).to_owned())
        };

        assert_eq!(read(&[]), ("notes".to_owned(), "default".to_owned()));
        let given = ("mine".to_owned(), "the environment".to_owned());
        assert_eq!(read(&[("NAME", "mine")]), given);
    }

    #[test]
    fn a_setting_without_any_default_has_to_be_given() {
        let values = catalogue().load_pairs([("", ""); 0]).unwrap();

        let error = values.read(&NAME).unwrap_err().to_string();

        assert_eq!(error, "NAME (from default): expected a name");
    }

    #[test]
    #[should_panic = "two settings are called NAME"]
    fn a_name_is_taken_once() {
        let _ = catalogue().section::<Door>();
    }

    #[test]
    #[should_panic = "no section has NAME"]
    fn a_default_needs_its_setting() {
        let _ = Catalogue::new().with_default(&NAME, "notes");
    }
}
