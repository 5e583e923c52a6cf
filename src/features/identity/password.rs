//! Passwords, before and after hashing.

use std::{fmt, sync::Arc};

use secrecy::{ExposeSecret, SecretString};

use super::Email;

/// Passwords that are guessed first, sorted, in lower case, one a line, 8 characters and more.
///
/// Taken from the frequency list of the zxcvbn project (MIT licence).
static COMMON: &str = include_str!("common_passwords.txt");

/// What a new password has to meet.
///
/// Length and a list of known ones, no rules on composition: NIST SP 800-63B-4, section 3.1.1.2.
#[derive(Debug, Clone)]
pub struct PasswordPolicy {
    min_length: usize,
    common: Arc<[&'static str]>,
}

impl PasswordPolicy {
    /// The longest password, in characters.
    pub const MAX_LENGTH: usize = 128;

    /// The longest password, in bytes. Longer ones are not even hashed.
    pub const MAX_BYTES: usize = 1024;

    /// A policy with this least length, in characters.
    #[must_use]
    pub fn new(min_length: usize) -> Self {
        Self {
            min_length,
            common: COMMON.lines().collect(),
        }
    }

    fn is_common(&self, password: &str) -> bool {
        let folded = password.to_lowercase();
        self.common.binary_search(&folded.as_str()).is_ok()
    }
}

/// A password that met the policy. It is kept exactly as it was typed.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

/// Why a text may not become a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It has fewer characters than the policy asks for.
    #[error("use at least {0} characters")]
    TooShort(usize),
    /// It has more characters, or bytes, than are taken.
    #[error("use at most 128 characters and 1024 bytes")]
    TooLong,
    /// It is on the list of passwords that are guessed first.
    #[error("this password is on every list of common passwords; choose another")]
    TooCommon,
    /// It is the part of the address before the `@`.
    #[error("do not use your own address as a password")]
    OwnAddress,
}

impl Password {
    /// Checks a new password for the account of this address.
    pub fn parse(
        text: &SecretString,
        email: &Email,
        policy: &PasswordPolicy,
    ) -> Result<Self, PasswordError> {
        let password = text.expose_secret();
        let length = password.chars().count();
        if length < policy.min_length {
            return Err(PasswordError::TooShort(policy.min_length));
        }
        if length > PasswordPolicy::MAX_LENGTH || password.len() > PasswordPolicy::MAX_BYTES {
            return Err(PasswordError::TooLong);
        }
        if policy.is_common(password) {
            return Err(PasswordError::TooCommon);
        }
        Self::check_against_address(text, email)?;
        Ok(Self(text.clone()))
    }

    /// Refuses a password that is the address of its account, or the part before the `@`: whichever of both is new.
    pub fn check_against_address(text: &SecretString, email: &Email) -> Result<(), PasswordError> {
        let password = text.expose_secret();
        let same = |part: &str| password.eq_ignore_ascii_case(part);
        if same(email.local_part()) || same(email.as_str()) {
            return Err(PasswordError::OwnAddress);
        }
        Ok(())
    }

    /// Refuses it for the account of another address than the one it was parsed for: the address may have been changed
    /// since.
    pub fn check_for(&self, email: &Email) -> Result<(), PasswordError> {
        Self::check_against_address(&self.0, email)
    }

    /// A password that was just verified: the policy of the day it was chosen applies.
    #[must_use]
    pub fn proven(text: SecretString) -> Self {
        Self(text)
    }

    /// The text, for hashing.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A hashed password in PHC string format, which names algorithm, parameters and salt.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps what the hasher made, or what it made once and the database kept.
    #[must_use]
    pub fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hides the hash: it is what an attacker would guess against.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    fn parse(password: &str) -> Result<Password, PasswordError> {
        let email = Email::parse("adalovelace@example.com").unwrap();
        Password::parse(&password.into(), &email, &PasswordPolicy::new(8))
    }

    #[test]
    fn the_list_is_sorted_so_that_it_can_be_searched() {
        let lines: Vec<_> = COMMON.lines().collect();

        assert!(lines.is_sorted());
        assert!(lines.len() > 10_000);
    }

    #[test]
    fn the_widely_copied_example_is_taken() {
        assert!(parse("Pass123!").is_ok());
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        assert_eq!(parse("sevench").unwrap_err(), PasswordError::TooShort(8));
        assert!(parse("žluťoučk").is_ok());
        assert!(parse(&"é".repeat(128)).is_ok());
        assert_eq!(parse(&"é".repeat(129)).unwrap_err(), PasswordError::TooLong);
    }

    #[test]
    fn what_is_guessed_first_is_refused_in_any_case() {
        assert_eq!(parse("PassWord1").unwrap_err(), PasswordError::TooCommon);
        assert_eq!(parse("AdaLovelace").unwrap_err(), PasswordError::OwnAddress);
    }

    #[test]
    fn nothing_is_trimmed() {
        assert_eq!(parse(" spaced out ").unwrap().expose(), " spaced out ");
    }

    #[test]
    fn debug_shows_nothing() {
        assert!(!format!("{:?}", parse("hunter22 hunter22")).contains("hunter"));
    }

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn a_password_is_taken_by_its_length_and_kept_as_it_is(
            text in prop_oneof![any::<String>(), "\\PC{0,140}", "[ -~]{6,140}"],
        ) {
            let length = text.chars().count();
            match parse(&text) {
                Ok(password) => {
                    prop_assert!((8..=128).contains(&length) && text.len() <= 1024);
                    prop_assert_eq!(password.expose(), text);
                }
                Err(PasswordError::TooShort(8)) => prop_assert!(length < 8),
                Err(PasswordError::TooLong) => prop_assert!(length > 128 || text.len() > 1024),
                Err(error) => prop_assert!((8..=128).contains(&length), "{}", error),
            }
        }

        #[test]
        fn a_common_password_is_refused_however_it_is_capitalized(
            line in 0..COMMON.lines().count(),
            capitals in prop::collection::vec(any::<bool>(), 64),
        ) {
            let common = COMMON.lines().nth(line).unwrap();
            let text: String = common
                .chars()
                .zip(capitals)
                .map(|(c, capital)| if capital { c.to_ascii_uppercase() } else { c })
                .collect();
            prop_assert_eq!(parse(&text).unwrap_err(), PasswordError::TooCommon);
        }
    }
}
