//! A key as it is kept: everything but the key itself.

use time::OffsetDateTime;

use super::Scopes;
use crate::{
    features::identity::{ApiKeyId, UserId},
    shared::Text,
};

/// What its owner calls a key.
pub type KeyName = Text<1, 80>;

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
