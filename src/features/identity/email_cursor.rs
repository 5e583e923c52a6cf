//! A place in a list of accounts that is in the order of their addresses.

use std::{borrow::Cow, fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chassis_http::ValidationError;

use super::Email;
use crate::shared::UnknownCursor;

/// A place in a list of accounts by address: after the account with this address, which need not exist any more.
///
/// Clients send it back as they got it. It has exactly one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailCursor(Email);

impl EmailCursor {
    /// The place after this address.
    #[must_use]
    pub fn behind(email: Email) -> Self {
        Self(email)
    }

    /// The address.
    #[must_use]
    pub fn email(&self) -> &str {
        self.0.as_str()
    }
}

/// The text is not an [`EmailCursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownEmailCursor;

impl ValidationError for UnknownEmailCursor {
    fn code(&self) -> &'static str {
        UnknownCursor.code()
    }

    fn detail(&self) -> Cow<'static, str> {
        "expected the next_cursor of another page of the same search".into()
    }
}

impl FromStr for EmailCursor {
    type Err = UnknownEmailCursor;

    fn from_str(text: &str) -> Result<Self, UnknownEmailCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let decoded = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let decoded = decoded.ok_or(UnknownEmailCursor)?;
        let email = Email::parse(&decoded).map_err(|_| UnknownEmailCursor)?;
        // An address in upper case would be a second spelling.
        (email.as_str() == decoded)
            .then_some(Self(email))
            .ok_or(UnknownEmailCursor)
    }
}

impl fmt::Display for EmailCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.email()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{properties, shared::Cursor};

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn a_cursor_has_one_spelling(
            name in "[a-z0-9]{1,20}",
            text in prop_oneof![any::<String>(), "[A-Za-z0-9_=+/-]{4,40}"],
        ) {
            let email = Email::parse(&format!("{name}@marked.example")).unwrap();
            let cursor = EmailCursor::behind(email);
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            if let Ok(cursor) = text.parse::<EmailCursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }

    #[test]
    fn neither_another_spelling_nor_a_cursor_of_another_list_is_one() {
        let upper = BASE64_URL_SAFE_NO_PAD.encode("Ada@marked.example");
        let of_ids = Cursor::behind(Uuid::now_v7()).to_string();

        for text in [upper, of_ids, String::new()] {
            assert_eq!(
                text.parse::<EmailCursor>(),
                Err(UnknownEmailCursor),
                "{text}"
            );
        }
    }
}
