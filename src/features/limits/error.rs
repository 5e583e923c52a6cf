//! Why an attempt does not go on.

use crate::{
    database::DatabaseError,
    web::{Problem, RateLimited},
};

/// Why an attempt does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too many came from one source.
    #[error(transparent)]
    Source(RateLimited),
    /// Too many were about one account.
    #[error(transparent)]
    Account(RateLimited),
    /// It could not be counted, and `RATE_LIMIT_ON_FAILURE` is `deny`.
    #[error("the attempt could not be counted")]
    Uncounted(#[source] DatabaseError),
}

/// How often others tried to get into an account is nobody's business: only a source is told how it stands.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Source(refusal) => refusal.into_problem_with_status(),
            Error::Account(refusal) => refusal.into(),
            Error::Uncounted(_) => Problem::unavailable(error),
        }
    }
}
