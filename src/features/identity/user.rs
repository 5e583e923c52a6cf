//! An account.

use time::OffsetDateTime;

use super::{Email, Role};
use crate::shared::id;

id! {
    /// The id of a user.
    UserId
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its address, in lower case.
    pub email: Email,
    /// What it may do.
    pub role: Role,
    /// Whether it may sign in.
    pub is_active: bool,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When address, password, role or state last changed.
    pub updated_at: OffsetDateTime,
}

/// What an administrator changes about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserChange {
    /// The new role, if it changes.
    pub role: Option<Role>,
    /// Whether it may sign in, if that changes.
    pub is_active: Option<bool>,
}

/// Which users a page shows.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Only this role.
    pub role: Option<Role>,
    /// Only those that may, or may not, sign in.
    pub is_active: Option<bool>,
}
