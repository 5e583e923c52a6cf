//! The key of a bucket.

use std::fmt;

use sha2::{Digest, Sha256};

/// The key of a bucket: the SHA-256 of what is counted, because the table has no use for addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitKey([u8; 32]);

impl LimitKey {
    /// The key of one thing of a kind, for example of the account `a@example.com`.
    ///
    /// Keys are the same on every replica. Kinds separate buckets: an account that strangers guess
    /// at and the user who owns it are counted apart. A kind holds no space.
    #[must_use]
    pub fn new(kind: &'static str, name: impl fmt::Display) -> Self {
        debug_assert!(!kind.contains(' '), "kind and name could not be told apart");
        Self(Sha256::digest(format!("{kind} {name}")).into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_kinds_and_names_are_different() {
        let key = LimitKey::new("account", "a@example.com");

        assert_eq!(key, LimitKey::new("account", "a@example.com"));
        assert_ne!(key, LimitKey::new("account", "b@example.com"));
        assert_ne!(key, LimitKey::new("user", "a@example.com"));
    }
}
