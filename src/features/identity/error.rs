//! What can go wrong with accounts and sessions.

use chassis_postgres::DatabaseError;

use super::{PasswordError, Role, hasher::HashError, policy::Denied};
use crate::features::limits;

/// What can go wrong with accounts and sessions.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Address and password do not belong together, or the account is disabled. The client is not told which.
    #[error("the credentials are not valid")]
    InvalidCredentials,
    /// The refresh token is not, or no longer, good for anything.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// The access token is not, or no longer, good for anything.
    #[error("the access token is not valid")]
    InvalidAccessToken,
    /// A token that was given back is none of ours.
    #[error("the token is not valid")]
    InvalidToken,
    /// There is no such session, or it belongs to another user.
    #[error("there is no such session")]
    SessionNotFound,
    /// Another account has this address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The account's address has to be confirmed first.
    #[error("the e-mail address is not confirmed")]
    EmailUnverified,
    /// Accounts are made by administrators alone.
    #[error("registration is closed")]
    RegistrationClosed,
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// The caller's role is below the one that the endpoint requires.
    #[error("this takes the role {0} or above")]
    InsufficientRole(Role),
    /// The password was given too long ago for what is asked.
    #[error("the password has to be given again")]
    ReauthenticationRequired,
    // browser_sessions: begin
    /// A browser sent its cookie, and not from a page that may.
    #[error("the request comes from another site")]
    CrossSite,
    /// There is more than one session cookie.
    #[error("there is more than one session cookie")]
    AmbiguousCookie,
    // browser_sessions: end
    // api_keys: begin
    /// The key is not good for this endpoint.
    #[error("the key is not good for this address")]
    KeyNotAllowed,
    // api_keys: end
    /// The policy denies it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The current password that was sent with a change is wrong.
    #[error("the current password is wrong")]
    WrongPassword,
    /// The new password does not suit the address that the account has by now.
    #[error(transparent)]
    NewPassword(#[from] PasswordError),
    /// There were too many attempts.
    #[error(transparent)]
    Limits(#[from] limits::Error),
    /// Hashing failed, or had too much to do.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A part that takes part in this feature's flows failed.
    #[error("{0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
