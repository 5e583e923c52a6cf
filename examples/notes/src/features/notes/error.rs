//! What can go wrong with notes.

use crate::database::DatabaseError;

/// What can go wrong with notes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This user has no such note.
    #[error("there is no such note")]
    NotFound,
    /// The user has been deleted since the request was let in.
    #[error("the user is not there any more")]
    UserGone,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
