//! Whose bucket a token is taken from.

use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::{
    features::identity::{Email, UserId},
    web::Source,
};

/// Whose bucket a token is taken from.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// Where an attempt comes from.
    Source(Source),
    /// The address that somebody tries to get in with, whether or not an account has it.
    Account(&'a Email),
    /// Somebody who is signed in and proves that they know their password.
    User(UserId),
}

impl Target<'_> {
    /// The bucket's name: a hash, because the table has no use for addresses.
    pub(super) fn key(&self) -> [u8; 32] {
        let (kind, name) = match self {
            Self::Source(source) => ("source", source.address().to_string()),
            Self::Account(email) => ("account", email.as_str().to_owned()),
            Self::User(id) => ("user", id.to_string()),
        };
        Sha256::digest(format!("{kind} {name}")).into()
    }
}

/// What happens to an attempt that cannot be counted because the database is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes on; what this process counts in memory still holds.
    Allow,
    /// It is answered by a 503.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn buckets_of_different_kinds_and_names_are_different() {
        let emails = ["a@example.com", "b@example.com"].map(|text| Email::parse(text).unwrap());
        let source = |ip: &str| Target::Source(Source::of(ip.parse().unwrap()));

        let keys: BTreeSet<_> = [
            source("192.0.2.1"),
            source("192.0.2.2"),
            Target::Account(&emails[0]),
            Target::Account(&emails[1]),
            Target::User(UserId::generate()),
            Target::User(UserId::generate()),
        ]
        .iter()
        .map(Target::key)
        .collect();

        assert_eq!(keys.len(), 6);
    }
}
