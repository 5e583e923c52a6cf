//! Texts that people write.

use std::{borrow::Cow, fmt};

use chassis_http::ValidationError;

/// A text of `MIN` to `MAX` characters, without white space around it.
///
/// White space around it is removed, because it is typed by mistake. Bounds are in
/// characters, as PostgreSQL's `length` counts them, so that a `CHECK` can
/// hold the same ones.
///
/// ```
/// use warp_skeleton::shared::{Text, TextError};
///
/// type Title = Text<1, 80>;
///
/// assert_eq!(Title::parse("  buy milk ").unwrap().as_str(), "buy milk");
/// assert_eq!(Title::parse("   "), Err(TextError::TooShort(1)));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

/// Why a text is no [`Text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It has fewer characters, white space around it apart.
    #[error("use {0} or more characters, white space around them apart")]
    TooShort(usize),
    /// It has more characters.
    #[error("use at most {0} characters")]
    TooLong(usize),
    /// It holds what PostgreSQL cannot store.
    #[error("the character U+0000 is not allowed")]
    Nul,
}

impl ValidationError for TextError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooShort(_) => "too_short",
            Self::TooLong(_) => "too_long",
            Self::Nul => "nul_character",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// Checks the text and trims it.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        let length = text.chars().count();
        if length < MIN {
            return Err(TextError::TooShort(MIN));
        }
        if length > MAX {
            return Err(TextError::TooLong(MAX));
        }
        if text.contains('\0') {
            return Err(TextError::Nul);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize> From<Text<MIN, MAX>> for String {
    fn from(text: Text<MIN, MAX>) -> Self {
        text.0
    }
}

/// Hides the text, which a user wrote: `Debug` output ends up in logs.
impl<const MIN: usize, const MAX: usize> fmt::Debug for Text<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    type Short = Text<2, 4>;

    #[test]
    fn bounds_are_in_characters_and_white_space_around_does_not_count() {
        for (text, expected) in [
            ("ab", Ok("ab")),
            (" a b\n", Ok("a b")),
            ("éèêë", Ok("éèêë")),
            ("a", Err(TextError::TooShort(2))),
            ("\u{a0} a\t", Err(TextError::TooShort(2))),
            ("abcde", Err(TextError::TooLong(4))),
            ("a\0b", Err(TextError::Nul)),
        ] {
            let parsed = Short::parse(text);
            let found = parsed.as_ref().map(Text::as_str).map_err(|error| *error);
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn debug_hides_the_text() {
        assert_eq!(format!("{:?}", Short::parse("abc").unwrap()), "Text(…)");
    }

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn what_is_taken_is_within_bounds_and_is_taken_again(text in any::<String>()) {
            if let Ok(taken) = Short::parse(&text) {
                prop_assert!((2..=4).contains(&taken.as_str().chars().count()));
                prop_assert_eq!(Short::parse(taken.as_str()), Ok(taken.clone()));
            }
        }
    }
}
