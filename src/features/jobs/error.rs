//! Why a job was not enqueued.

use chassis_postgres::DatabaseError;

/// Why a job was not enqueued. The transaction it was to be part of should be dropped.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The payload is no JSON: a mistake in its `Serialize`.
    #[error("the payload of a job of kind `{kind}` cannot be written as JSON")]
    Payload {
        /// The kind.
        kind: &'static str,
        /// What the serializer says.
        source: serde_json::Error,
    },
    /// The payload is longer than 8 KiB. A job refers to what is large by its id.
    #[error("the payload of a job of kind `{kind}` is longer than 8 KiB")]
    TooLong {
        /// The kind.
        kind: &'static str,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
