//! Where a page of users begins.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::UserId;

/// A place in the list of users: behind this one.
///
/// Clients are to send it back as they got it, so it looks like nothing that
/// they could make up, and has one spelling.
///
/// ```
/// use warp_skeleton::features::users::{Cursor, UserId};
///
/// let cursor = Cursor::behind(UserId::generate());
/// assert_eq!(cursor.to_string().parse(), Ok(cursor));
/// assert!("1".parse::<Cursor>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(UserId);

/// Not a [`Cursor`] of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the next_cursor of another page")]
pub struct UnknownCursor;

impl Cursor {
    /// The place behind this user.
    #[must_use]
    pub fn behind(user: UserId) -> Self {
        Self(user)
    }

    /// The user that it is behind.
    #[must_use]
    pub fn user(self) -> UserId {
        self.0
    }
}

impl FromStr for Cursor {
    type Err = UnknownCursor;

    fn from_str(text: &str) -> Result<Self, UnknownCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let id = bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok());
        id.map(|id| Self(id.into())).ok_or(UnknownCursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0.as_uuid()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn a_cursor_has_one_spelling(
            id in any::<u128>(),
            text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{22}", "[A-Za-z0-9_=+/-]{20,24}"],
        ) {
            let cursor = Cursor::behind(Uuid::from_u128(id).into());
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
