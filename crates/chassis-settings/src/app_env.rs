//! `APP_ENV`: which profile's defaults apply.

use crate::{Declaration, Section, SettingError, Values, one_of, settings};

/// The profile in which a service runs. `production` switches to stricter defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppEnv {
    /// A developer's machine: readable logs on a terminal, no TLS required of the database.
    Development,
    /// Automated tests: a missing secret is made up.
    Test,
    /// Real users: nothing weak is accepted.
    Production,
}

impl AppEnv {
    const NAMES: &[(&str, Self)] = &[
        ("development", Self::Development),
        ("test", Self::Test),
        ("production", Self::Production),
    ];

    /// The value of `APP_ENV` that stands for this profile.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Production => "production",
        }
    }
}

settings! {
    /// development, test or production: picks the profile's defaults
    pub APP_ENV: AppEnv = "development", one_of(AppEnv::NAMES);
}

/// The first section of every [`Catalogue`](crate::Catalogue).
impl Section for AppEnv {
    const TITLE: &'static str = "Profile";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        values.read(&APP_ENV)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_is_read_from_its_own_name() {
        for profile in [AppEnv::Development, AppEnv::Test, AppEnv::Production] {
            assert_eq!(APP_ENV.parse(Some(profile.as_str())), Some(profile));
        }
        assert_eq!(APP_ENV.parse(Some("staging")), None);
        assert_eq!(APP_ENV.expected(), "development, test or production");
    }
}
