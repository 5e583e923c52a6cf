//! The settings of links in mails, and of what depends on a proven address.

use std::time::Duration;

use chassis_settings::{
    Declaration, Section, SettingError, Values, hours, minutes, one_of, optional, parse_with,
    settings, switch,
};
use http::Uri;

use super::request::Purpose;

settings! {
    /// who gets an account: open (anyone), neutral (anyone, and only a mail tells whether the address had one), closed
    REGISTRATION: Mode = "open", one_of(&[("open", Mode::Open), ("neutral", Mode::Neutral), ("closed", Mode::Closed)]);

    /// whether only accounts with a verified address may sign in
    REQUIRE_VERIFIED_EMAIL: bool = "off", switch();

    /// how long a link to a new password is good for
    RESET_MINUTES: Duration = "30", minutes(1..=1440);

    /// how long a link that verifies an address is good for
    VERIFY_HOURS: Duration = "24", hours(1..=720);

    /// the page of a front end that links to a new password lead to; unset: a small page of this service
    MAIL_LINK_RESET: Option<PageUrl>, optional(parse_with(PageUrl::parse, PageUrl::EXPECTED));

    /// the page that links to verify an address lead to; unset: a small page of this service
    MAIL_LINK_VERIFY: Option<PageUrl>, optional(parse_with(PageUrl::parse, PageUrl::EXPECTED));

    /// the page that links to confirm a new address lead to; unset: a small page of this service
    MAIL_LINK_EMAIL: Option<PageUrl>, optional(parse_with(PageUrl::parse, PageUrl::EXPECTED));
}

/// Who gets an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Open,
    Neutral,
    Closed,
}

/// A page that a link leads to. The token is added as a fragment, which browsers send to no server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageUrl(String);

impl PageUrl {
    const EXPECTED: &'static str =
        "a URL like https://app.example.com/reset: http or https, without user and fragment";

    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority()?.as_str();
        (is_web && !authority.contains('@') && !text.contains('#')).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The settings of links in mails, and of what depends on a proven address.
#[derive(Debug, Clone)]
pub struct RecoverySettings {
    pub(super) registration: Mode,
    pub(super) require_verified: bool,
    pub(super) reset_lifetime: Duration,
    pub(super) verify_lifetime: Duration,
    reset_page: Option<PageUrl>,
    verify_page: Option<PageUrl>,
    email_page: Option<PageUrl>,
    registration_origin: String,
    require_verified_origin: String,
}

impl RecoverySettings {
    /// Refuses what takes mail where none is sent, and mail whose links lead nowhere: without `has_origin` nothing says
    /// where people reach this service, and each link needs a page that does.
    ///
    /// # Errors
    ///
    /// The first setting that does.
    pub fn check(&self, sends_mail: bool, has_origin: bool) -> Result<(), SettingError> {
        let refuse = |name: &str, origin: &str, expected: &str| {
            Err(SettingError {
                name: name.to_owned(),
                origin: origin.to_owned(),
                expected: expected.to_owned(),
            })
        };
        if !sends_mail && self.registration == Mode::Neutral {
            let expected = "open or closed where no mail is sent: set MAIL_URL, or the owner of a new account never learns of it";
            return refuse(REGISTRATION.name(), &self.registration_origin, expected);
        }
        if !sends_mail && self.require_verified {
            let expected =
                "off where no mail is sent: set MAIL_URL, or nobody can verify an address";
            return refuse(
                REQUIRE_VERIFIED_EMAIL.name(),
                &self.require_verified_origin,
                expected,
            );
        }
        let pages = [&self.reset_page, &self.verify_page, &self.email_page];
        if sends_mail && !has_origin && pages.iter().any(|page| page.is_none()) {
            let expected = "the origin that clients reach the service at, because mail is sent: or else MAIL_LINK_RESET, \
                            MAIL_LINK_VERIFY and MAIL_LINK_EMAIL, or links in mails lead nowhere";
            return refuse("PUBLIC_URL", "default", expected);
        }
        Ok(())
    }

    pub(super) fn page(&self, purpose: Purpose) -> Option<&PageUrl> {
        match purpose {
            Purpose::Verify => self.verify_page.as_ref(),
            Purpose::Reset => self.reset_page.as_ref(),
            Purpose::Change => self.email_page.as_ref(),
        }
    }

    pub(super) fn lifetime(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Reset => self.reset_lifetime,
            Purpose::Verify | Purpose::Change => self.verify_lifetime,
        }
    }
}

impl Section for RecoverySettings {
    const TITLE: &'static str = "Registration and recovery";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        Ok(Self {
            registration: values.read(&REGISTRATION)?,
            require_verified: values.read(&REQUIRE_VERIFIED_EMAIL)?,
            reset_lifetime: values.read(&RESET_MINUTES)?,
            verify_lifetime: values.read(&VERIFY_HOURS)?,
            reset_page: values.read(&MAIL_LINK_RESET)?,
            verify_page: values.read(&MAIL_LINK_VERIFY)?,
            email_page: values.read(&MAIL_LINK_EMAIL)?,
            registration_origin: values.origin(&REGISTRATION).to_owned(),
            require_verified_origin: values.origin(&REQUIRE_VERIFIED_EMAIL).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_a_web_address_that_a_fragment_can_be_added_to() {
        for good in [
            "https://app.example.com/reset",
            "http://localhost:3000",
            "https://a.example/b?c=d",
        ] {
            assert!(PageUrl::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "/reset",
            "app.example.com/reset",
            "javascript:alert(1)",
            "https://a.example/#b",
            "https://u:p@a.example/",
            "https://a.example/ b",
        ] {
            assert!(PageUrl::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_takes_mail_is_refused_where_none_is_sent() {
        let read = |pairs: &[(&str, &str)]| {
            let values = crate::settings::values(pairs.iter().copied()).unwrap();
            RecoverySettings::read(&values).unwrap()
        };

        assert!(read(&[]).check(false, true).is_ok());
        assert!(
            read(&[("REGISTRATION", "closed")])
                .check(false, true)
                .is_ok()
        );
        for (name, value) in [
            ("REGISTRATION", "neutral"),
            ("REQUIRE_VERIFIED_EMAIL", "on"),
        ] {
            let settings = read(&[(name, value)]);
            assert!(settings.check(true, true).is_ok());
            let error = settings.check(false, true).unwrap_err().to_string();
            assert!(
                error.starts_with(name) && error.contains("MAIL_URL"),
                "{error}"
            );
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_refused() {
        let page = "https://app.example.com/page";
        let pages = ["MAIL_LINK_RESET", "MAIL_LINK_VERIFY", "MAIL_LINK_EMAIL"];
        let read = |names: &[&'static str]| {
            let values = crate::settings::values(names.iter().map(|name| (*name, page))).unwrap();
            RecoverySettings::read(&values).unwrap()
        };

        assert!(read(&pages).check(true, false).is_ok());
        for without in 0..pages.len() {
            let mut two = pages.to_vec();
            two.remove(without);
            let settings = read(&two);
            assert!(settings.check(false, false).is_ok());
            assert!(settings.check(true, true).is_ok());
            let error = settings.check(true, false).unwrap_err().to_string();
            assert!(error.starts_with("PUBLIC_URL (from default)"), "{error}");
        }
    }
}
