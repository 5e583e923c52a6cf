//! Notes as JSON, in and out.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::domain::Note;
use crate::{domain::Patch, web::present};

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

/// A new note.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateNote {
    /// 1 to 1000 characters.
    #[schema(min_length = 1, max_length = 1000)]
    pub(super) title: String,
    /// 1 to 1000 characters; none when absent.
    #[schema(min_length = 1, max_length = 1000, required = false)]
    pub(super) body: Option<String>,
    /// Whether it is pinned; false when absent.
    #[serde(default)]
    pub(super) pinned: bool,
}

/// What to change about a note; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeNote {
    /// 1 to 1000 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, min_length = 1, max_length = 1000, required = false)]
    pub(super) title: Option<String>,
    /// 1 to 1000 characters; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1000, required = false)]
    pub(super) body: Patch<String>,
    /// Whether it is pinned.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    pub(super) pinned: Option<bool>,
}
