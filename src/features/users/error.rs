//! What can go wrong with accounts.

use super::hasher::HashError;
use crate::database::DatabaseError;

/// What can go wrong with accounts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another account has this address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// The user, or the role it would get, is above the one who asks.
    #[error("nobody edits or grants above their own level")]
    AboveOwnLevel,
    /// Nobody would be left who may do everything.
    #[error("the last active owner stays")]
    LastOwner,
    /// The password that was to prove who is asking is wrong.
    #[error("the current password is wrong")]
    WrongPassword,
    /// Hashing failed, or had too much to do.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
