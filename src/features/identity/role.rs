//! What an account may do.

use std::{fmt, str::FromStr};

/// What an account may do. Each role may do everything the ones below it may.
///
/// ```
/// use warp_skeleton::features::identity::Role;
///
/// assert!(Role::Owner > Role::Admin && Role::Admin > Role::Member && Role::Member > Role::Viewer);
/// assert_eq!("ADMIN".parse(), Ok(Role::Admin));
/// assert!("admin".parse::<Role>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Sees. What registration gives.
    Viewer,
    /// Takes part.
    Member,
    /// Administers accounts up to its own level.
    Admin,
    /// Everything. There is always at least one that is active, once there was one.
    Owner,
}

impl Role {
    /// All of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Member, Self::Admin, Self::Owner];

    /// As the database and the wire know it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "VIEWER",
            Self::Member => "MEMBER",
            Self::Admin => "ADMIN",
            Self::Owner => "OWNER",
        }
    }
}

/// The text names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected OWNER, ADMIN, MEMBER or VIEWER")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let mut roles = Self::ALL.into_iter();
        roles.find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
