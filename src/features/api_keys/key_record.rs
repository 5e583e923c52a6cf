//! A key as it is kept: everything but the key itself.

use std::borrow::Cow;

use chassis_http::ValidationError;
use time::OffsetDateTime;

use super::Scopes;
use crate::{
    features::identity::{ApiKeyId, UserId},
    shared::{Text, TextError},
};

/// What its owner calls a key: one line, which terminals and messages show as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(Text<1, 80>);

/// Why a text is no [`KeyName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyNameError {
    /// It has not the length, or what PostgreSQL cannot store.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It holds a control character (Unicode's category Cc), such as a line break or what begins a terminal's command.
    #[error("control characters are not allowed")]
    Control,
}

impl ValidationError for KeyNameError {
    fn code(&self) -> &'static str {
        match self {
            Self::Text(error) => error.code(),
            Self::Control => "control_character",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

impl KeyName {
    /// Checks the name and trims it.
    pub fn parse(text: &str) -> Result<Self, KeyNameError> {
        let name = Text::parse(text)?;
        if text.chars().any(char::is_control) {
            return Err(KeyNameError::Control);
        }
        Ok(Self(name))
    }

    /// A name that is kept, perhaps since before control characters were refused.
    pub(super) fn stored(text: &str) -> Result<Self, KeyNameError> {
        Self::parse(&text.replace(char::is_control, "\u{fffd}"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0.into()
    }
}

/// A key as it is kept.
#[derive(Debug, Clone)]
pub struct KeyRecord {
    /// Its id.
    pub id: ApiKeyId,
    /// The account that it acts for.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: KeyName,
    /// What a person recognises the key by.
    pub start: String,
    /// What it is good for.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it is over, by its lifetime or because it was rotated. `None`: never.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<OffsetDateTime>,
}

/// Why a key was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRevocation {
    /// By its owner.
    Owner,
    /// By an administrator.
    Administrator,
    /// On the shell.
    Operator,
    /// By whoever held it.
    Presented,
    /// Another one took its place.
    Rotation,
    /// The account got another password.
    Password,
}

impl KeyRevocation {
    /// As the database knows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Presented => "presented",
            Self::Rotation => "rotation",
            Self::Password => "password",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_that_a_terminal_shows_as_it_is() {
        for text in ["a\nb", "a\u{1b}[2Jb", "a\u{7f}", "a\u{9b}2J", "\ta"] {
            assert_eq!(KeyName::parse(text), Err(KeyNameError::Control), "{text:?}");
        }
        assert_eq!(KeyName::parse(" größer 名 ").unwrap().as_str(), "größer 名");
        assert_eq!(
            KeyName::stored("\u{1b}[2Jb").unwrap().as_str(),
            "\u{fffd}[2Jb"
        );
    }
}
