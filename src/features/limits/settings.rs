//! The settings of the limits.

use std::str::FromStr;

use chassis_settings::{
    Declaration, Section, Setting, SettingError, Values, number, parsed, settings, switch,
};

use chassis_http::Quota;

settings! {
    /// whether too many requests are refused at all
    RATE_LIMIT: bool = "on", switch();

    /// sign-ins, registrations, refused refreshes and revocations from one source, across replicas
    RATE_LIMIT_AUTH_PER_MINUTE: u32 = "30", number(1..=60_000_000);

    /// how many of them at once
    RATE_LIMIT_AUTH_BURST: u32 = "10", number(1..=1_000_000);

    /// sign-ins to one account from anywhere, across replicas
    RATE_LIMIT_ACCOUNT_PER_MINUTE: u32 = "30", number(1..=60_000_000);

    /// how many of them at once
    RATE_LIMIT_ACCOUNT_BURST: u32 = "20", number(1..=1_000_000);

    /// other requests from one source, per replica
    RATE_LIMIT_API_PER_MINUTE: u32 = "6000", number(1..=60_000_000);

    /// how many of them at once
    RATE_LIMIT_API_BURST: u32 = "1000", number(1..=1_000_000);

    /// allow (as each replica counts in memory) or deny attempts while the database cannot be reached
    RATE_LIMIT_ON_FAILURE: OnFailure = "allow", parsed("allow or deny");
}

/// The settings of the limits.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// The quotas; `None` with `RATE_LIMIT=off`.
    pub quotas: Option<Quotas>,
    /// What happens to an attempt while the database cannot be reached.
    pub on_failure: OnFailure,
}

/// The quotas of each class.
#[derive(Debug, Clone, Copy)]
pub struct Quotas {
    /// Of a network, for attempts with passwords and tokens.
    pub auth: Quota,
    /// Of an account, for attempts from anywhere.
    pub account: Quota,
    /// Of a session, for rotations of its refresh token. It has no setting: a client refreshes every few minutes.
    pub session: Quota,
    /// Of a network, for all other requests.
    pub api: Quota,
}

/// What happens to an attempt while the database cannot be reached. One that is only not counted in time is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is allowed as far as the limit in the memory of this process goes.
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
    const TITLE: &'static str = "Rate limits";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        let quota = |name, per_minute: &Setting<u32>, burst: &Setting<u32>| {
            let per_minute = values.read(per_minute)?;
            Ok(Quota::new(name, per_minute, values.read(burst)?))
        };
        let quotas = Quotas {
            auth: quota("auth", &RATE_LIMIT_AUTH_PER_MINUTE, &RATE_LIMIT_AUTH_BURST)?,
            account: quota(
                "account",
                &RATE_LIMIT_ACCOUNT_PER_MINUTE,
                &RATE_LIMIT_ACCOUNT_BURST,
            )?,
            session: Quota::new("session", 60, 60),
            api: quota("api", &RATE_LIMIT_API_PER_MINUTE, &RATE_LIMIT_API_BURST)?,
        };
        Ok(Self {
            quotas: values.read(&RATE_LIMIT)?.then_some(quotas),
            on_failure: values.read(&RATE_LIMIT_ON_FAILURE)?,
        })
    }
}
