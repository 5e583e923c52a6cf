//! The address that names an account.

use std::fmt;

/// An e-mail address: printable ASCII, at most 254 characters, in lower case.
///
/// Only plain ASCII local parts and host names are taken, so that no two
/// addresses look alike and each has one spelling. Quoted local parts,
/// comments and address literals (RFC 5321, section 4.1.2) are legal in mail
/// and of no use in an account. White space around it is refused, not removed.
///
/// ```
/// use warp_skeleton::features::identity::{Email, EmailError};
///
/// let email = Email::parse("Ada.Lovelace+notes@Example.com").unwrap();
/// assert_eq!(email.as_str(), "ada.lovelace+notes@example.com");
/// assert_eq!(Email::parse(" ada@example.com"), Err(EmailError::Invalid));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// Why a text is no [`Email`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// It is longer than 254 characters.
    #[error("an e-mail address has at most 254 characters")]
    TooLong,
    /// It is not of the form that is taken here.
    #[error("expected an e-mail address like name@example.com, without blanks or accents")]
    Invalid,
}

impl Email {
    /// The longest address that SMTP can carry (RFC 5321, section 4.5.3.1.3, and its erratum 1690).
    const MAX_LENGTH: usize = 254;

    /// Checks the text and folds it to lower case.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        if text.len() > Self::MAX_LENGTH {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = text.split_once('@').ok_or(EmailError::Invalid)?;
        if is_local_part(local) && is_domain(domain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(EmailError::Invalid)
        }
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.split_once('@').map_or("", |(local, _)| local)
    }
}

/// A dot-atom of RFC 5322, section 3.2.3, of at most 64 characters.
fn is_local_part(local: &str) -> bool {
    let is_atext =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let is_atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atext);
    local.len() <= 64 && local.split('.').all(is_atom)
}

/// At least two labels of letters, digits and inner hyphens; the last one is no number.
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let mut labels = domain.rsplit('.');
    let top = labels.next().unwrap_or_default();
    top.len() >= 2
        && is_label(top)
        && top.bytes().any(|byte| byte.is_ascii_alphabetic())
        && domain.contains('.')
        && labels.all(is_label)
}

/// Hides the address: it is personal, and `Debug` ends up in logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    #[test]
    fn ordinary_addresses_are_taken_and_folded() {
        for (text, expected) in [
            ("test@example.com", "test@example.com"),
            ("A.B@Sub.Example.CO", "a.b@sub.example.co"),
            ("x+tag@xn--bcher-kva.example", "x+tag@xn--bcher-kva.example"),
        ] {
            assert_eq!(Email::parse(text).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn anything_that_could_be_a_second_spelling_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b.co",
            "a@b",
            "a b@c.de",
            "a@b.c",
            "a@b..de",
            ".a@b.de",
            "a.@b.de",
            "a..b@c.de",
            "a@b@c.de",
            "a@b.de\n",
            " a@b.de",
            "a@b.de ",
            "\u{a0}a@b.de",
            "a\u{200b}@b.de",
            "a\u{ff20}b.de",
            "\"a b\"@c.de",
            "a@[127.0.0.1]",
            "a@1.2.3.4",
            "а@example.com",
            "a@bücher.de",
            "a@-b.de",
            "a@b-.de",
            "(c)a@b.de",
            "a@b.de\0",
        ] {
            assert_eq!(Email::parse(text), Err(EmailError::Invalid), "{text:?}");
        }
    }

    #[test]
    fn lengths_have_limits() {
        let domain = format!("{}.de", ["d"; 30].join("."));
        assert!(Email::parse(&format!("{}@{domain}", "a".repeat(64))).is_ok());
        assert!(Email::parse(&format!("{}@{domain}", "a".repeat(65))).is_err());
        let labels = [
            vec!["x".repeat(63); 3].join("."),
            "y".repeat(53),
            "de".to_owned(),
        ]
        .join(".");
        assert_eq!(
            Email::parse(&format!("aaaaaaa@{labels}")),
            Err(EmailError::TooLong)
        );
        assert!(Email::parse(&format!("aaa@{}", &labels[2..])).is_ok());
    }

    #[test]
    fn debug_hides_the_address() {
        let email = Email::parse("ada@example.com").unwrap();

        assert_eq!(format!("{email:?}"), "Email(…)");
    }

    /// Texts that are nearly addresses, so that some of them are.
    fn address() -> impl Strategy<Value = String> {
        let local = "[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~\"( -]{1,12}";
        (
            local,
            "[@@@\u{ff20}]{1,2}",
            "([a-zA-Z0-9-]{1,8}[.]){0,3}[a-z0-9]{1,4}",
        )
            .prop_map(|(local, at, domain)| format!("{local}{at}{domain}"))
    }

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn what_is_taken_has_one_spelling(text in prop_oneof![address(), any::<String>()]) {
            if let Ok(email) = Email::parse(&text) {
                let kept = email.as_str();
                prop_assert_eq!(kept, text.to_ascii_lowercase());
                prop_assert!(kept.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert_eq!(kept.matches('@').count(), 1);
                prop_assert_eq!(Email::parse(&kept.to_ascii_uppercase()), Ok(email.clone()));
            }
        }

        #[test]
        fn one_strange_character_spoils_an_address(
            at in 0..16_usize,
            strange in any::<char>().prop_filter("strange", |c| !c.is_ascii_graphic()),
        ) {
            let mut text = "ada@example.com".to_owned();
            text.insert(at.min(text.len()), strange);
            prop_assert_eq!(Email::parse(&text), Err(EmailError::Invalid));
        }
    }
}
