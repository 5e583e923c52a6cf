//! Whose bucket a token is taken from.

use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::web::Source;

/// Whose bucket a token is taken from.
///
/// A hash, because the table has no use for addresses. Buckets of different kinds are different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LimitKey([u8; 32]);

impl LimitKey {
    /// The bucket of this name among those of this kind. The kind must not contain a space.
    #[must_use]
    pub fn new(kind: &'static str, name: &str) -> Self {
        Self(Sha256::digest(format!("{kind} {name}")).into())
    }

    /// The bucket of a client network.
    pub(super) fn source(source: Source) -> Self {
        Self::new("source", &source.address().to_string())
    }

    /// As the table knows it.
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
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
        let source = |ip: &str| LimitKey::source(Source::of(ip.parse().unwrap()));

        let keys = BTreeSet::from([
            source("192.0.2.1"),
            source("192.0.2.2"),
            LimitKey::new("account", "a@example.com"),
            LimitKey::new("account", "b@example.com"),
            LimitKey::new("account", "192.0.2.1"),
            LimitKey::new("user", "a@example.com"),
        ]);

        assert_eq!(keys.len(), 6);
    }
}
