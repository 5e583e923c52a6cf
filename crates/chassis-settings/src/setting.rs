//! One setting, declared once: name, default, text, type and reader.

use std::fmt;

use crate::Reader;

/// What is known about a setting apart from its type: the row that it gets in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declaration {
    /// The name in the environment, in `.env` and in the TOML file.
    pub name: &'static str,
    /// The default as it would be written; empty means unset.
    pub default: &'static str,
    /// The default when `APP_ENV` is `production`, where it differs.
    pub production: Option<&'static str>,
    /// Whether the value is redacted wherever it would be shown, and may come from a file (`NAME_FILE`).
    pub secret: bool,
    /// What the setting is for, in one line.
    pub about: &'static str,
}

/// A setting with its type: what [`settings!`](crate::settings) makes of each declaration.
pub struct Setting<T: 'static> {
    declaration: Declaration,
    reader: &'static dyn Reader<Value = T>,
}

impl<T> Setting<T> {
    /// A setting. [`settings!`](crate::settings) calls this; a setting made by hand is missing from its section's list.
    #[must_use]
    pub const fn new(declaration: Declaration, reader: &'static dyn Reader<Value = T>) -> Self {
        Self {
            declaration,
            reader,
        }
    }

    /// The name in the environment, in `.env` and in the TOML file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.declaration.name
    }

    /// The row of this setting in its section's list.
    #[must_use]
    pub const fn declaration(&self) -> Declaration {
        self.declaration
    }

    /// Reads a text that comes from elsewhere, like a part of a URL. `None` when it is not what the setting takes.
    #[must_use]
    pub fn parse(&self, text: Option<&str>) -> Option<T> {
        self.reader.read(text)
    }

    /// What the setting takes, as an error says it: `a whole number from 0 to 65535`.
    #[must_use]
    pub fn expected(&self) -> String {
        self.reader.expected()
    }
}

impl<T> fmt::Debug for Setting<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.declaration.fmt(formatter)
    }
}

/// Two lists of declarations as one, for a section that is written in two files.
///
/// ```
/// # use chassis_settings::{Declaration, joined, number, settings};
/// # mod standard { use chassis_settings::{settings, switch};
/// #   settings! {
/// #       /// whether it is off
/// #       OTEL_SDK_DISABLED: bool = "false", switch();
/// #   }
/// # }
/// settings! {
///     /// how many
///     COUNT: u8 = "1", number(1..=9);
/// }
///
/// const BOTH: &[Declaration] =
///     &joined::<{ SETTINGS.len() + standard::SETTINGS.len() }>(SETTINGS, standard::SETTINGS);
/// assert_eq!(BOTH.len(), 2);
/// ```
///
/// # Panics
///
/// When `N` is not the number of declarations; where the result is a constant, this is an error of the compiler.
#[must_use]
pub const fn joined<const N: usize>(
    first: &[Declaration],
    second: &[Declaration],
) -> [Declaration; N] {
    assert!(N > 0 && first.len() + second.len() == N);
    let any = if first.is_empty() {
        second[0]
    } else {
        first[0]
    };
    let mut all = [any; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() {
            first[at]
        } else {
            second[at - first.len()]
        };
        at += 1;
    }
    all
}

/// Declares settings: a constant [`Setting`] for each, and `SETTINGS`, the list of all of them.
///
/// Nothing about a setting is written twice. The doc comment (one line) is both the constant's documentation and the
/// text in `.env.example`. The type is the type that [`Values::read`](crate::Values::read) returns. The default is
/// written as it would be in the environment; without one the setting is unset. The reader at the end turns text into
/// the type and says in errors what was expected.
///
/// Two attributes may follow the doc comment, in this order: `#[secret]` redacts the value everywhere and lets it come
/// from a file; `#[production = "…"]` gives another default for `APP_ENV=production`.
///
/// ```
/// use chassis_settings::{number, one_of, optional, secret, settings, SecretString};
///
/// #[derive(Clone, Copy)]
/// enum Tls { Prefer, Require }
///
/// settings! {
///     /// port to listen on; 0 takes a free one
///     pub PORT: u16 = "8000", number(0..=65535);
///
///     /// prefer or require
///     #[production = "require"]
///     TLS: Tls = "prefer", one_of(&[("prefer", Tls::Prefer), ("require", Tls::Require)]);
///
///     /// password; any character is legal
///     #[secret]
///     PASSWORD: Option<SecretString>, optional(secret());
/// }
///
/// assert_eq!(SETTINGS.len(), 3);
/// assert_eq!(PORT.name(), "PORT");
/// assert!(SETTINGS[2].secret && SETTINGS[2].default.is_empty());
/// ```
#[macro_export]
macro_rules! settings {
    (@is_secret) => { false };
    (@is_secret yes) => { true };
    (@default) => { "" };
    (@default $default:expr) => { $default };
    (@production) => { ::core::option::Option::None };
    (@production $production:expr) => { ::core::option::Option::Some($production) };
    ($(
        #[doc = $about:literal]
        $(#[secret $($secret:tt)*])?
        $(#[production = $production:expr])?
        $visibility:vis $name:ident: $type:ty $(= $default:expr)?, $reader:expr;
    )+) => {
        $(
            #[doc = $about]
            $visibility const $name: $crate::Setting<$type> = {
                const READER: &dyn $crate::Reader<Value = $type> = &$reader;
                $crate::Setting::new(
                    $crate::Declaration {
                        name: ::core::stringify!($name),
                        default: $crate::settings!(@default $($default)?),
                        production: $crate::settings!(@production $($production)?),
                        secret: $crate::settings!(@is_secret $(yes $($secret)*)?),
                        about: $about.trim_ascii(),
                    },
                    READER,
                )
            };
        )+

        /// Every setting that is declared here.
        pub(crate) const SETTINGS: &[$crate::Declaration] = &[$($name.declaration()),+];
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SecretString, number, optional, secret, text};

    settings! {
        /// how many
        COUNT: u8 = "1", number(1..=9);

        /// what opens the door
        #[secret]
        #[production = "prod"]
        KEY: Option<SecretString> = "dev", optional(secret());

        /// what it is called
        TITLE: Option<String>, optional(text("a title"));
    }

    #[test]
    fn a_declaration_holds_what_was_written() {
        assert_eq!(SETTINGS.len(), 3);
        assert_eq!(
            SETTINGS[0],
            Declaration {
                name: "COUNT",
                default: "1",
                production: None,
                secret: false,
                about: "how many",
            }
        );
        assert_eq!(
            KEY.declaration(),
            Declaration {
                name: "KEY",
                default: "dev",
                production: Some("prod"),
                secret: true,
                about: "what opens the door",
            }
        );
        assert_eq!(SETTINGS[2].default, "");
        assert_eq!(COUNT.expected(), "a whole number from 1 to 9");
        assert_eq!(TITLE.parse(Some("x")), Some(Some("x".to_owned())));
    }

    #[test]
    fn joined_lists_keep_their_order() {
        const ALL: &[Declaration] = &joined::<4>(SETTINGS, &[COUNT.declaration()]);

        let names: Vec<_> = ALL.iter().map(|declaration| declaration.name).collect();

        assert_eq!(names, ["COUNT", "KEY", "TITLE", "COUNT"]);
    }
}
