//! Why an attempt is not allowed.

use crate::{database::DatabaseError, web::RateLimited};

/// Why an attempt is not allowed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too many attempts from one network.
    #[error(transparent)]
    Source(RateLimited),
    /// Too many attempts at one account.
    #[error(transparent)]
    Account(RateLimited),
    /// The attempt could not be counted, and `RATE_LIMIT_ON_FAILURE` is `deny`.
    #[error("the attempt could not be counted")]
    Uncounted(#[source] DatabaseError),
}
