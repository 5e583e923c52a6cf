//! Why an attempt is not allowed.

use crate::{database::DatabaseError, web::Refusal};

/// Why an attempt is not allowed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too many attempts from one network.
    #[error(transparent)]
    Source(Refusal),
    /// Too many attempts at one account.
    #[error(transparent)]
    Account(Refusal),
    /// The attempt could not be counted, and `RATE_LIMIT_ON_FAILURE` is `deny`.
    #[error("the attempt could not be counted")]
    Uncounted(#[source] DatabaseError),
}
