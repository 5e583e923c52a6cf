//! `PATCH /notes/{id}`: change one of the caller's notes.

use chassis_http::{Endpoint, Problem, ValidationErrors, json, patch};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::NoteView;
use crate::{
    features::{
        identity::{Auth, Caller, Locks, Role, caller_with},
        notes::{Error, Note, NoteBody, NoteChange, NoteId, NoteTitle, Notes, tables},
    },
    shared::{Patch, present},
};

/// What to change about a note; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeNote {
    /// 1 to 1000 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, min_length = 1, max_length = 1000, required = false)]
    title: Option<String>,
    /// 1 to 1000 characters; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1000, required = false)]
    body: Patch<String>,
    /// Whether it is pinned.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    pinned: Option<bool>,
}

pub(super) fn endpoint(notes: &Notes, auth: &Auth) -> Endpoint {
    let summary = "Change one of one's own notes";
    patch("/notes/{id}", summary, caller_with(Role::Member, auth))
        .scope("notes:write")
        .path_value::<NoteId>("The note's id")
        .body::<ChangeNote>()
        .responds::<NoteView>(StatusCode::OK)
        .with(notes.clone())
        .handler(handle)
}

async fn handle(
    caller: Caller,
    id: NoteId,
    request: ChangeNote,
    notes: Notes,
) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let change = NoteChange {
        title: errors.check_some("/title", request.title.as_deref().map(NoteTitle::parse)),
        body: errors
            .check(
                "/body",
                request.body.as_deref().map(NoteBody::parse).transpose(),
            )
            .unwrap_or_default(),
        pinned: request.pinned,
    };
    errors.finish()?;
    let note = change_note(caller, id, change, &notes).await?;
    Ok(json(StatusCode::OK, &NoteView::from(note)))
}

async fn change_note(
    caller: Caller,
    id: NoteId,
    change: NoteChange,
    notes: &Notes,
) -> Result<Note, Error> {
    let (principal, transaction) = caller.begin(Locks::None).await?;
    let found = tables::notes::lock(&transaction, principal.id(), id).await?;
    let before = found.ok_or(Error::NotFound)?;
    let mut note = before.clone().changed(change);
    if note != before {
        note.updated_at = notes.clock.now();
        tables::notes::update(&transaction, &note).await?;
    }
    transaction.commit().await?;
    Ok(note)
}
