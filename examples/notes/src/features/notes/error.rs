//! What can go wrong with notes.

use chassis_postgres::DatabaseError;

use crate::features::identity;

/// What can go wrong with notes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such note, or it belongs to another user.
    #[error("there is no such note")]
    NotFound,
    /// The caller is not admitted any more, or the transaction failed.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
