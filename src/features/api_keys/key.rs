//! The form of a key: prefix, `_`, 43 characters of base62 (256 random bits), 6 of base62 (a CRC-32 of what stands before).
//!
//! The prefix tells a key from other tokens, in a request, in a log, and in a repository that a scanner looks through. The
//! checksum lets a scanner, and this service, tell a key from what only looks like one without asking anybody. Letters,
//! digits and `_` alone: a double click selects all of it, and nothing has to be escaped.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// What keys begin with, before the `_`. A constant of the program, which `make init` changes, and not a setting: with
/// another one, scanners no longer find the keys that exist, and these are no longer taken.
pub const PREFIX: &str = "warp_skeleton";

/// How many random characters there are: 62⁴³ is more than 2²⁵⁶.
const RANDOM: usize = 43;

/// How many characters the checksum has: 62⁶ is more than 2³².
const CHECKSUM: usize = 6;

/// How many random characters are kept to recognise a key by.
const SHOWN: usize = 4;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key as its holder has it.
#[derive(Debug, Clone)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// A new one.
    ///
    /// # Panics
    ///
    /// When the system has no randomness to give.
    #[must_use]
    pub fn generate() -> Self {
        let mut text = format!("{PREFIX}_");
        let length = text.len() + RANDOM;
        while text.len() < length {
            let mut bytes = [0; 64];
            getrandom::fill(&mut bytes).expect("the system has randomness");
            // 6 bits each, and those beyond the alphabet left out, so that each character is as likely as another.
            let digits = bytes.iter().map(|byte| usize::from(byte & 0x3f));
            let letters = digits.filter_map(|digit| ALPHABET.get(digit));
            let missing = length - text.len();
            text.extend(letters.take(missing).map(|byte| char::from(*byte)));
        }
        text += &checksum(&text);
        Self(text.into())
    }

    /// Whether a token has the prefix of a key. An access token begins with the Base64 of `{"`, a refresh token has no
    /// prefix and fewer characters.
    #[must_use]
    pub fn is_meant_by(token: &str) -> bool {
        random_part(token).is_some()
    }

    /// What a client sent; `None` when it is no key of ours, by its form or its checksum.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = random_part(text)?;
        let is_base62 = rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if rest.len() != RANDOM + CHECKSUM || !is_base62 {
            return None;
        }
        let (summed, sum) = text.split_at(text.len() - CHECKSUM);
        (sum == checksum(summed)).then(|| Self(text.to_owned().into()))
    }

    /// The text for its holder.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the database keeps of it.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.expose().as_bytes()).into())
    }

    /// What a person recognises it by: too little to guess the rest.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.expose()[..PREFIX.len() + 1 + SHOWN]
    }
}

/// The SHA-256 of a key, by which it is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// As the database knows it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn random_part(text: &str) -> Option<&str> {
    text.strip_prefix(PREFIX)?.strip_prefix('_')
}

/// The CRC-32 of a text (that of ISO 3309, as in gzip and PNG) in base62, with leading zeros.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.map(char::from).iter().collect()
}

/// What finds keys in texts: a regular expression that scanners of secrets take.
struct ScannerPattern;

impl fmt::Display for ScannerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = RANDOM + CHECKSUM;
        write!(f, r"\b{PREFIX}_[0-9A-Za-z]{{{length}}}\b")
    }
}

/// The rule for keys of this program, as a file of gitleaks: `ops/gitleaks.toml` is this text.
#[must_use]
pub fn scanner_rule() -> String {
    let product = env!("CARGO_PKG_NAME");
    format!(
        "\
# Finds API keys of {product} in repositories and logs: gitleaks dir --config ops/gitleaks.toml .
# Written by the program: REWRITE=1 cargo test --test api api_keys::scanner

[extend]
useDefault = true

[[rules]]
id = \"{product}-api-key\"
description = \"An API key of {product}. Whoever finds one can end it: POST /auth/revoke with the form token=<key>.\"
regex = '''{ScannerPattern}'''
keywords = [\"{PREFIX}_\"]
"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    #[test]
    fn a_new_key_is_taken_again_and_has_the_form_that_is_documented() {
        let mut seen = HashSet::new();
        for _ in 0..200 {
            let key = ApiKey::generate();
            let text = key.expose();

            assert_eq!(text.len(), PREFIX.len() + 1 + 43 + 6);
            assert_eq!(ApiKey::parse(text).unwrap().hash(), key.hash());
            assert!(ApiKey::is_meant_by(text));
            assert_eq!(key.start(), &text[..PREFIX.len() + 5]);
            assert!(seen.insert(text.to_owned()));
        }
        // Every character occurs: 8,600 of 62 kinds.
        let random: HashSet<_> = seen
            .iter()
            .flat_map(|text| text[PREFIX.len() + 1..][..RANDOM].chars())
            .collect();
        assert_eq!(random.len(), 62);
    }

    #[test]
    fn the_checksum_is_the_crc_that_others_compute() {
        // The check value of CRC-32 is 0xCBF43926.
        assert_eq!(checksum("123456789"), "3jZRME");
        assert_eq!(checksum(""), "000000");
    }

    #[test]
    fn debug_hides_the_key() {
        let key = ApiKey::generate();
        assert!(!format!("{key:?}").contains(key.expose()));
    }

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn one_changed_character_is_noticed(index in 0_usize..62, letter in "[ -~]") {
            let key = ApiKey::generate();
            let mut text = key.expose().to_owned();
            let index = index % text.len();
            text.replace_range(index..=index, &letter);
            prop_assert_eq!(ApiKey::parse(&text).is_some(), text == key.expose());
        }

        #[test]
        fn whatever_is_sent_is_read_without_harm(text in any::<String>()) {
            prop_assert!(ApiKey::parse(&text).is_none());
            let prefixed = format!("{PREFIX}_{text}");
            prop_assert!(ApiKey::parse(&prefixed).is_none());
        }
    }
}
