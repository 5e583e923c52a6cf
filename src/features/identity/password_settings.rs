//! Password policy and the cost of hashing.

use std::{num::NonZero, thread, time::Duration};

use chassis_settings::{
    AppEnv, Declaration, Section, SettingError, Values, millis, number, optional, parsed, settings,
};
use scrypt::Params;

settings! {
    /// the least length of a new password, in characters
    PASSWORD_MIN_LENGTH: usize = "8", number(8..=64);

    /// scrypt's log2 N; with the defaults a hash needs 16 MiB
    SCRYPT_LOG_N: u8 = "14", number(1..=24);

    /// scrypt's block size
    SCRYPT_R: u32 = "8", number(1..=64);

    /// scrypt's parallelisation
    SCRYPT_P: u32 = "5", number(1..=64);

    /// how many hashes run at once; unset: one a core
    PASSWORD_HASH_CONCURRENCY: Option<NonZero<usize>>, optional(parsed("a whole number from 1"));

    /// how long a request waits for its turn to hash before it is a 503
    PASSWORD_HASH_WAIT_MS: Duration = "2000", millis(0);
}

/// How passwords are judged and hashed.
#[derive(Debug, Clone)]
pub struct PasswordSettings {
    /// The least length of a new password, in characters.
    pub min_length: usize,
    /// What a hash costs.
    pub cost: Cost,
    /// How many hashes run at once.
    pub concurrency: usize,
    /// How long a request waits for its turn.
    pub wait: Duration,
}

/// The parameters of scrypt (RFC 7914, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Binary logarithm of the memory and time cost N.
    pub log_n: u8,
    /// Block size.
    pub r: u32,
    /// Parallelisation.
    pub p: u32,
}

/// The rows that OWASP's password storage cheat sheet calls equal: least log N and p, at r = 8.
const OWASP_ROWS: [(u8, u32); 5] = [(17, 1), (16, 2), (15, 3), (14, 5), (13, 10)];

impl Cost {
    /// Memory one hash needs, in bytes.
    #[must_use]
    pub fn memory(self) -> u64 {
        128 * (1 << self.log_n) * u64::from(self.r)
    }

    /// How long a hash takes, in no unit: N · r · p, by which the number of its steps grows.
    fn work(self) -> u64 {
        self.memory() * u64::from(self.p)
    }

    /// Whether a hash of this cost is easier to guess against than one of the other.
    #[must_use]
    pub fn is_below(self, other: Self) -> bool {
        self.memory() < other.memory() || self.work() < other.work()
    }

    /// What a hash of this cost takes less than one of the other, as a cost: so many more rounds at this one's N and r.
    ///
    /// `None` when it is nothing.
    #[must_use]
    pub fn shortfall(self, other: Self) -> Option<Self> {
        let missing = other.work().saturating_sub(self.work());
        let rounds = (missing + self.memory() / 2) / self.memory();
        let p = u32::try_from(rounds).ok().filter(|rounds| *rounds > 0)?;
        Some(Self { p, ..self })
    }

    fn meets_owasp(self) -> bool {
        let meets = |(log_n, p): (u8, u32)| self.log_n >= log_n && self.r >= 8 && self.p >= p;
        OWASP_ROWS.into_iter().any(meets)
    }
}

impl Section for PasswordSettings {
    const TITLE: &'static str = "Passwords";
    const SETTINGS: &'static [Declaration] = SETTINGS;

    fn read(values: &Values) -> Result<Self, SettingError> {
        let cost = Cost {
            log_n: values.read(&SCRYPT_LOG_N)?,
            r: values.read(&SCRYPT_R)?,
            p: values.read(&SCRYPT_P)?,
        };
        if Params::new(cost.log_n, cost.r, cost.p).is_err() {
            return Err(values.unusable(&SCRYPT_LOG_N, "parameters that scrypt can be run with"));
        }
        if values.app_env()? == AppEnv::Production && !cost.meets_owasp() {
            return Err(values.unusable(
                &SCRYPT_LOG_N,
                "with SCRYPT_R and SCRYPT_P at least 17/8/1, 16/8/2, 15/8/3, 14/8/5 or 13/8/10 in production",
            ));
        }
        let concurrency = values.read(&PASSWORD_HASH_CONCURRENCY)?;
        let cores = || thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        Ok(Self {
            min_length: values.read(&PASSWORD_MIN_LENGTH)?,
            cost,
            concurrency: concurrency.unwrap_or_else(cores).get().min(1024),
            wait: values.read(&PASSWORD_HASH_WAIT_MS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<PasswordSettings, SettingError> {
        PasswordSettings::read(&crate::settings::values(pairs.iter().copied()).unwrap())
    }

    #[test]
    fn the_default_needs_sixteen_mebibytes() {
        assert_eq!(read(&[]).unwrap().cost.memory(), 16 * 1024 * 1024);
    }

    #[test]
    fn what_a_cheaper_hash_takes_less_is_told_in_rounds_of_its_own_size() {
        let cost = |log_n, p| Cost { log_n, r: 8, p };

        assert_eq!(cost(14, 1).shortfall(cost(14, 5)), Some(cost(14, 4)));
        assert_eq!(cost(14, 5).shortfall(cost(17, 1)), Some(cost(14, 3)));
        assert_eq!(cost(14, 5).shortfall(cost(13, 10)), None);
        assert_eq!(cost(17, 1).shortfall(cost(14, 5)), None);
    }

    #[test]
    fn production_refuses_a_cost_below_every_owasp_row() {
        let production = |log_n, p| {
            read(&[
                ("APP_ENV", "production"),
                ("SCRYPT_LOG_N", log_n),
                ("SCRYPT_P", p),
            ])
        };

        assert!(production("13", "10").is_ok());
        assert!(production("17", "1").is_ok());
        assert!(
            production("14", "4")
                .unwrap_err()
                .to_string()
                .starts_with("SCRYPT_LOG_N")
        );
    }

    #[test]
    fn a_policy_below_eight_characters_is_refused() {
        assert!(read(&[("PASSWORD_MIN_LENGTH", "7")]).is_err());
    }
}
