//! A note as JSON.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::features::notes::Note;

/// A note.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Note)]
pub(super) struct NoteView {
    id: Uuid,
    title: String,
    body: Option<String>,
    pinned: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl From<Note> for NoteView {
    fn from(note: Note) -> Self {
        Self {
            id: *note.id.as_uuid(),
            title: note.title.into(),
            body: note.body.map(Into::into),
            pinned: note.pinned,
            created_at: note.created_at,
            updated_at: note.updated_at,
        }
    }
}
