//! `POST /notes`: create a note.

use chassis_http::{Endpoint, Problem, ValidationErrors, created, post};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::NoteView;
use crate::features::{
    identity::{Auth, Caller, Locks, Role, caller_with},
    notes::{Error, NewNote, Note, NoteBody, NoteTitle, Notes, tables},
};

/// A new note.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateNote {
    /// 1 to 1000 characters.
    #[schema(min_length = 1, max_length = 1000)]
    title: String,
    /// 1 to 1000 characters; none when absent.
    #[schema(min_length = 1, max_length = 1000, required = false)]
    body: Option<String>,
    /// Whether it is pinned; false when absent.
    #[serde(default)]
    pinned: bool,
}

pub(super) fn endpoint(notes: &Notes, auth: &Auth) -> Endpoint {
    post("/notes", "Create a note", caller_with(Role::Member, auth))
        .scope("notes:write")
        .body::<CreateNote>()
        .responds::<NoteView>(StatusCode::CREATED)
        .with(notes.clone())
        .handler(handle)
}

async fn handle(caller: Caller, request: CreateNote, notes: Notes) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let title = errors.check("/title", NoteTitle::parse(&request.title));
    let body = errors.check_some("/body", request.body.as_deref().map(NoteBody::parse));
    let Some(title) = title else {
        return Err(errors.into());
    };
    errors.finish()?;
    let new = NewNote {
        title,
        body,
        pinned: request.pinned,
    };
    let note = create_note(caller, new, &notes).await?;
    let location = format!("/notes/{}", note.id);
    Ok(created(&location, &NoteView::from(note)))
}

async fn create_note(caller: Caller, new: NewNote, notes: &Notes) -> Result<Note, Error> {
    let (principal, transaction) = caller.begin(Locks::None).await?;
    let note = Note::new(principal.id(), new, notes.clock.now());
    tables::notes::insert(&transaction, &note).await?;
    transaction.commit().await?;
    Ok(note)
}
