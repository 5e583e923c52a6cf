//! What can go wrong with keys.

use chassis_http::Problem;
use chassis_postgres::DatabaseError;

use super::{problems::TOO_MANY_KEYS, service::MOST_KEYS};
use crate::{features::identity, shared::problems::database_problem};

/// What can go wrong with keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such key, or it is over, or it belongs to another account.
    #[error("there is no such key")]
    NotFound,
    /// The account has as many keys as it may.
    #[error("an account has {MOST_KEYS} live keys at most")]
    TooMany,
    /// What the account is asked for failed.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::TooMany => Self::new(&TOO_MANY_KEYS, error.to_string()),
            Error::Identity(error) => error.into(),
            Error::Database(error) => database_problem(error),
        }
    }
}
