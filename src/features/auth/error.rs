//! What can go wrong with signing in and staying signed in.

use crate::{
    database::DatabaseError,
    features::{limits, users},
};

/// What can go wrong with signing in and staying signed in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Address and password do not belong together, or the account is disabled. Nobody is told which.
    #[error("the credentials are not valid")]
    InvalidCredentials,
    /// The refresh token is not, or no longer, good for anything.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// The access token is not, or no longer, good for anything.
    #[error("the access token is not valid")]
    InvalidAccessToken,
    /// There is no such session, or it is somebody else's.
    #[error("there is no such session")]
    SessionNotFound,
    /// There were too many attempts.
    #[error(transparent)]
    Limits(#[from] limits::Error),
    /// Something about the account.
    #[error(transparent)]
    Users(#[from] users::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
