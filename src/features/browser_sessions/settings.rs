//! The settings of sessions that a cookie holds.

use chassis_settings::{
    AppEnv, Declaration, Section, SettingError, Values, one_of, settings, switch,
};

settings! {
    /// whether a browser may hold its session by a cookie; in production this takes PUBLIC_URL
    COOKIE_SESSIONS: bool = "off", switch();

    /// which requests of other sites carry the cookie: lax, strict, or none (no restriction), which takes CORS_ALLOWED_ORIGINS
    COOKIE_SAME_SITE: SameSite = "lax",
        one_of(&[("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)]);
}

/// The attribute `SameSite` of the cookie (RFC 6265bis, section 5.6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SameSite {
    Lax,
    Strict,
    None,
}

/// The settings of sessions that a cookie holds.
#[derive(Debug, Clone)]
pub struct CookieSettings {
    pub(super) is_on: bool,
    pub(super) same_site: SameSite,
    is_on_origin: String,
    same_site_origin: String,
}

/// What the cookie depends on besides its own settings.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// `APP_ENV`.
    pub app_env: AppEnv,
    /// `PUBLIC_URL`.
    pub public_url: Option<&'a str>,
    /// Whether other origins may call the API.
    pub has_allowed_origins: bool,
    /// Whether only this machine reaches the service.
    pub is_loopback: bool,
}

impl CookieSettings {
    /// Whether a browser may hold its session by a cookie.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether the cookie is for TLS alone: always, but for development on this machine, where there is none.
    #[must_use]
    pub fn is_secure(&self, around: Surroundings<'_>) -> bool {
        let is_local = around.app_env == AppEnv::Development && around.is_loopback;
        !is_local || self.same_site == SameSite::None
    }

    /// Refuses settings with which cookies could not work, or would not be safe.
    ///
    /// # Errors
    ///
    /// The first setting that does.
    pub fn check(&self, around: Surroundings<'_>) -> Result<(), SettingError> {
        if !self.is_on {
            return Ok(());
        }
        let refuse = |name: &str, origin: &String, expected: &str| {
            Err(SettingError {
                name: name.to_owned(),
                origin: origin.clone(),
                expected: expected.to_owned(),
            })
        };
        if around.app_env == AppEnv::Production
            && !around
                .public_url
                .is_some_and(|url| url.starts_with("https://"))
        {
            let expected = "off in production without PUBLIC_URL, an origin of https: a request that changes something is \
                            compared with it, and the cookie is for TLS alone";
            return refuse(COOKIE_SESSIONS.name(), &self.is_on_origin, expected);
        }
        if self.same_site == SameSite::None && !around.has_allowed_origins {
            let expected = "lax or strict without CORS_ALLOWED_ORIGINS: none is for pages of other sites, and none may call the API";
            return refuse(COOKIE_SAME_SITE.name(), &self.same_site_origin, expected);
        }
        Ok(())
    }
}

impl Section for CookieSettings {
    const TITLE: &'static str = "Sessions of browsers";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        Ok(Self {
            is_on: values.read(&COOKIE_SESSIONS)?,
            same_site: values.read(&COOKIE_SAME_SITE)?,
            is_on_origin: values.origin(&COOKIE_SESSIONS).to_owned(),
            same_site_origin: values.origin(&COOKIE_SAME_SITE).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> CookieSettings {
        let values = crate::settings::values(pairs.iter().copied()).unwrap();
        CookieSettings::read(&values).unwrap()
    }

    fn around(app_env: AppEnv, public_url: Option<&str>) -> Surroundings<'_> {
        Surroundings {
            app_env,
            public_url,
            has_allowed_origins: false,
            is_loopback: true,
        }
    }

    #[test]
    fn production_takes_an_address_with_tls() {
        let (on, off) = (read(&[("COOKIE_SESSIONS", "on")]), read(&[]));
        for (url, is_fine) in [
            (None, false),
            (Some("http://api.example.com"), false),
            (Some("https://api.example.com"), true),
        ] {
            let around = around(AppEnv::Production, url);
            assert_eq!(on.check(around).is_ok(), is_fine, "{url:?}");
            assert!(off.check(around).is_ok());
        }
        assert!(on.check(around(AppEnv::Development, None)).is_ok());
    }

    #[test]
    fn no_restriction_takes_origins_that_may_call() {
        let settings = read(&[("COOKIE_SESSIONS", "on"), ("COOKIE_SAME_SITE", "none")]);
        let mut around = around(AppEnv::Development, None);

        let error = settings.check(around).unwrap_err().to_string();
        assert!(error.starts_with("COOKIE_SAME_SITE") && error.contains("CORS_ALLOWED_ORIGINS"));

        around.has_allowed_origins = true;
        assert!(settings.check(around).is_ok());
    }

    #[test]
    fn only_development_on_this_machine_does_without_tls() {
        let settings = read(&[("COOKIE_SESSIONS", "on")]);
        for app_env in [AppEnv::Development, AppEnv::Test, AppEnv::Production] {
            for is_loopback in [true, false] {
                let around = Surroundings {
                    is_loopback,
                    ..around(app_env, None)
                };
                let is_local = app_env == AppEnv::Development && is_loopback;
                assert_eq!(
                    settings.is_secure(around),
                    !is_local,
                    "{app_env:?} {is_loopback}"
                );
            }
        }
    }
}
