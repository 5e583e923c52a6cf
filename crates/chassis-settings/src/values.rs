//! The values in force, each with the place it came from.

use std::fmt::{self, Display};

use crate::{APP_ENV, AppEnv, Declaration, Reader, Setting, SettingError};

/// The value of every setting in a [`Catalogue`](crate::Catalogue), and where each came from.
///
/// Texts leave this type through the reader of a [`Setting`], and through [`Values::entries`], which redacts secrets.
/// `Debug` shows what `entries` shows.
#[derive(Clone)]
pub struct Values {
    values: Vec<Value>,
}

/// One setting with what was resolved for it.
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) section: &'static str,
    pub(crate) declaration: Declaration,
    /// Never empty.
    pub(crate) text: Option<String>,
    pub(crate) origin: String,
    /// Whether a source gave it, and not a default.
    pub(crate) given: bool,
    /// Whether it is what the file of a secret holds.
    pub(crate) from_file: bool,
    /// The text as it may be listed.
    pub(crate) shown: Option<String>,
}

/// A text without the credentials of the addresses in it: `http://(redacted)@host`. What could be a part of them goes, too.
pub(crate) fn without_credentials(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}://(redacted){}", &text[..start], &text[end..])
        }
        _ => text.to_owned(),
    }
}

impl Values {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self { values }
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.values
            .iter()
            .find(|value| value.declaration.name == name)
    }

    /// The value of a setting.
    ///
    /// Fails when the reader does not take the text, or when no section of the catalogue has the setting.
    pub fn read<T>(&self, setting: &Setting<T>) -> Result<T, SettingError> {
        let text = self.text(setting)?;
        let value = setting.parse(text);
        value.ok_or_else(|| self.unusable(setting, setting.expected()))
    }

    /// The same with another reader, for a setting whose bounds depend on the value of another one.
    pub fn read_with<R: Reader>(
        &self,
        setting: &Setting<R::Value>,
        reader: &R,
    ) -> Result<R::Value, SettingError> {
        let text = self.text(setting)?;
        let value = reader.read(text);
        value.ok_or_else(|| self.unusable(setting, reader.expected()))
    }

    fn text<T>(&self, setting: &Setting<T>) -> Result<Option<&str>, SettingError> {
        let value = self.find(setting.name());
        let value = value.ok_or_else(|| {
            let expected = "a section of the catalogue to list it";
            SettingError::new(setting.name(), "the program", expected)
        })?;
        Ok(value.text.as_deref())
    }

    /// The profile in force.
    pub fn app_env(&self) -> Result<AppEnv, SettingError> {
        self.read(&APP_ENV)
    }

    /// Whether the setting has any value, be it a default.
    #[must_use]
    pub fn is_set<T>(&self, setting: &Setting<T>) -> bool {
        let value = self.find(setting.name());
        value.is_some_and(|value| value.text.is_some())
    }

    /// Whether the value comes from a source, and not from a default.
    #[must_use]
    pub fn is_given<T>(&self, setting: &Setting<T>) -> bool {
        let value = self.find(setting.name());
        value.is_some_and(|value| value.given)
    }

    /// Whether the value is what the file of a secret holds (`NAME_FILE`).
    #[must_use]
    pub fn is_from_file<T>(&self, setting: &Setting<T>) -> bool {
        let value = self.find(setting.name());
        value.is_some_and(|value| value.from_file)
    }

    /// Where the value in force came from, in words: `the environment`, `the file named by DB_PASSWORD_FILE`.
    #[must_use]
    pub fn origin<T>(&self, setting: &Setting<T>) -> &str {
        let value = self.find(setting.name());
        value.map_or("default", |value| &value.origin)
    }

    /// An error about a setting that names the source of its value.
    ///
    /// For what a reader cannot see, like two settings that contradict each other.
    #[must_use]
    pub fn unusable<T>(&self, setting: &Setting<T>, expected: impl Display) -> SettingError {
        SettingError::new(setting.name(), self.origin(setting), expected)
    }

    /// Every setting with what may be shown of it, in the catalogue's order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.values.iter().map(|value| {
            let shown = match &value.shown {
                None => Shown::Unset,
                Some(_) if value.declaration.secret => Shown::Redacted,
                Some(text) => Shown::Text(text),
            };
            Entry {
                section: value.section,
                name: value.declaration.name,
                value: shown,
                origin: &value.origin,
            }
        })
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.entries()).finish()
    }
}

/// A setting as it may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The title of its section.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What may be shown of its value.
    pub value: Shown<'a>,
    /// Where the value came from, in words.
    pub origin: &'a str,
}

/// What may be shown of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown<'a> {
    /// There is none: `(unset)`.
    Unset,
    /// There is one, and it is a secret: `(redacted)`.
    Redacted,
    /// The value itself, without the credentials of an address in it.
    Text(&'a str),
}

impl Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Unset => "(unset)",
            Self::Redacted => "(redacted)",
            Self::Text(text) => text,
        })
    }
}
