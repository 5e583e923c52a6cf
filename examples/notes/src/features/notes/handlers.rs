//! Requests about notes, turned into the service's terms and back.

use http::StatusCode;
use warp::reply::Response;

use super::{
    domain::{NewNote, NoteBody, NoteChange, NoteId, NoteTitle},
    error::Error,
    payloads::{ChangeNote, CreateNote, NoteView},
    service::Notes,
};
use crate::{
    features::identity::{self, Principal},
    web::{ListPage, Problem, ValidationErrors, created, json, no_content},
};

pub(super) async fn create(
    caller: Principal,
    payload: CreateNote,
    notes: Notes,
) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let title = errors.check("/title", NoteTitle::parse(&payload.title));
    let body = errors.check_some("/body", payload.body.as_deref().map(NoteBody::parse));
    let Some(title) = title else {
        return Err(errors.into());
    };
    errors.finish()?;
    let new = NewNote {
        title,
        body,
        pinned: payload.pinned,
    };
    let note = notes.create(caller.user.id, new).await?;
    let location = format!("/notes/{}", note.id);
    Ok(created(&location, &NoteView::from(note)))
}

pub(super) async fn list(
    caller: Principal,
    query: ListPage,
    notes: Notes,
) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let request = query.parse(&mut errors);
    errors.finish()?;
    let page = notes.list(caller.user.id, request).await?;
    Ok(page.reply::<NoteView>("/notes", request, &[]))
}

pub(super) async fn read(caller: Principal, id: NoteId, notes: Notes) -> Result<Response, Problem> {
    let note = notes.find(caller.user.id, id).await?;
    Ok(json(StatusCode::OK, &NoteView::from(note)))
}

pub(super) async fn change(
    caller: Principal,
    id: NoteId,
    payload: ChangeNote,
    notes: Notes,
) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let change = NoteChange {
        title: errors.check_some("/title", payload.title.as_deref().map(NoteTitle::parse)),
        body: errors.check_patch("/body", payload.body.as_deref().map(NoteBody::parse)),
        pinned: payload.pinned,
    };
    errors.finish()?;
    let note = notes.change(caller.user.id, id, change).await?;
    Ok(json(StatusCode::OK, &NoteView::from(note)))
}

pub(super) async fn delete(
    caller: Principal,
    id: NoteId,
    notes: Notes,
) -> Result<Response, Problem> {
    notes.delete(caller.user.id, id).await?;
    Ok(no_content())
}

/// The one table from this room's failures to what a client may know.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Problem::not_found(),
            Error::UserGone => auth::Error::InvalidAccessToken.into(),
            Error::Database(error) => error.into(),
        }
    }
}
