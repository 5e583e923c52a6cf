//! The settings of the limits.

use std::str::FromStr;

use crate::{
    config::{Section, Setting, SettingError, Values},
    web::Quota,
};

/// The settings of the limits.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// The quotas; `None` with `RATE_LIMIT=off`.
    pub quotas: Option<Quotas>,
    /// What happens to an attempt that cannot be counted.
    pub on_failure: OnFailure,
}

/// The quotas of each class.
#[derive(Debug, Clone, Copy)]
pub struct Quotas {
    /// Of a network, for attempts with passwords and tokens.
    pub auth: Quota,
    /// Of an account, for attempts from anywhere.
    pub account: Quota,
    /// Of a network, for all other requests.
    pub api: Quota,
}

/// What happens to an attempt that cannot be counted because the database is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is allowed; what this process counts in memory still limits it.
    Allow,
    /// It is answered with a 503.
    Deny,
}

impl FromStr for OnFailure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "allow" => Ok(Self::Allow),
            "deny" => Ok(Self::Deny),
            _ => Err(()),
        }
    }
}

impl Section for LimitSettings {
    const SETTINGS: &'static [Setting] = &[
        Setting::new(
            "RATE_LIMIT",
            "on",
            "whether too many requests are refused at all",
        ),
        Setting::new(
            "RATE_LIMIT_AUTH_PER_MINUTE",
            "30",
            "sign-ins, registrations and refreshes from one source, across replicas",
        ),
        Setting::new("RATE_LIMIT_AUTH_BURST", "10", "how many of them at once"),
        Setting::new(
            "RATE_LIMIT_ACCOUNT_PER_MINUTE",
            "30",
            "sign-ins to one account from anywhere, across replicas",
        ),
        Setting::new("RATE_LIMIT_ACCOUNT_BURST", "20", "how many of them at once"),
        Setting::new(
            "RATE_LIMIT_API_PER_MINUTE",
            "6000",
            "other requests from one source, per replica",
        ),
        Setting::new("RATE_LIMIT_API_BURST", "1000", "how many of them at once"),
        Setting::new(
            "RATE_LIMIT_ON_FAILURE",
            "allow",
            "allow or deny attempts that cannot be counted because the database is out",
        ),
    ];

    fn read(values: &Values) -> Result<Self, SettingError> {
        let quota = |name, per_minute, burst| {
            let per_minute = values.number(per_minute, 1, 60_000_000)?;
            Ok(Quota::new(
                name,
                per_minute,
                values.number(burst, 1, 1_000_000)?,
            ))
        };
        let quotas = Quotas {
            auth: quota(
                "auth",
                "RATE_LIMIT_AUTH_PER_MINUTE",
                "RATE_LIMIT_AUTH_BURST",
            )?,
            account: quota(
                "account",
                "RATE_LIMIT_ACCOUNT_PER_MINUTE",
                "RATE_LIMIT_ACCOUNT_BURST",
            )?,
            api: quota("api", "RATE_LIMIT_API_PER_MINUTE", "RATE_LIMIT_API_BURST")?,
        };
        Ok(Self {
            quotas: values.switch("RATE_LIMIT")?.then_some(quotas),
            on_failure: values.get("RATE_LIMIT_ON_FAILURE", "allow or deny")?,
        })
    }
}
