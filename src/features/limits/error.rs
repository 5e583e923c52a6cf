//! Why an attempt is not allowed.

use chassis_http::RateLimited;
use chassis_postgres::DatabaseError;

/// Why an attempt is not allowed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too many attempts from one network.
    #[error(transparent)]
    Source(RateLimited),
    /// Too many attempts at one account, or in one session.
    #[error(transparent)]
    Account(RateLimited),
    /// The attempt could not be counted, so it goes no further.
    #[error("the attempt could not be counted")]
    Uncounted(#[source] DatabaseError),
}
