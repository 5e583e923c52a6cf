//! `GET /notes/{id}`: show one of the caller's notes.

use chassis_http::{Endpoint, Problem, get, json};
use http::StatusCode;
use warp::reply::Response;

use super::NoteView;
use crate::features::{
    identity::{Auth, Principal, signed_in},
    notes::{Error, NoteId, Notes, tables},
};

pub(super) fn endpoint(notes: &Notes, auth: &Auth) -> Endpoint {
    let summary = "Show one of one's own notes";
    get("/notes/{id}", summary, signed_in(auth))
        .scope("notes:read")
        .path_value::<NoteId>("The note's id")
        .responds::<NoteView>(StatusCode::OK)
        .with(notes.clone())
        .handler(handle)
}

async fn handle(principal: Principal, id: NoteId, notes: Notes) -> Result<Response, Problem> {
    let found = tables::notes::find(&notes.database.reader(), principal.id(), id)
        .await
        .map_err(Error::from)?;
    let note = found.ok_or(Error::NotFound)?;
    Ok(json(StatusCode::OK, &NoteView::from(note)))
}
