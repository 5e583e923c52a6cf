//! The endpoints of notes.

use http::{Method, StatusCode};
use warp::Filter;

use super::{
    domain::NoteId,
    handlers,
    payloads::{ChangeNote, CreateNote, NoteView},
    service::Notes,
};
use crate::{
    features::{
        identity::{Auth, Role, require, signed_in},
    },
    web::{Endpoint, Feature, ListPage, PageView, endpoint, with},
};

/// Every endpoint of this room.
#[must_use]
pub fn endpoints(notes: &Notes, auth: &Auth) -> Feature {
    Feature {
        name: "notes",
        description: "Keep notes of one's own",
        endpoints: vec![
            create(notes.clone(), auth),
            list(notes.clone(), auth),
            read(notes.clone(), auth),
            change(notes.clone(), auth),
            delete(notes.clone(), auth),
        ],
    }
}

/// `POST /notes`: a new note.
fn create(notes: Notes, auth: &Auth) -> Endpoint {
    endpoint(
        Method::POST,
        "/notes",
        "Create a note",
        require(Role::Member, auth),
    )
    .body::<CreateNote>()
    .responds::<NoteView>(StatusCode::CREATED)
    .handled_by(|request| request.and(with(notes)).then(handlers::create))
}

/// `GET /notes`: one's own notes, a page at a time.
fn list(notes: Notes, auth: &Auth) -> Endpoint {
    endpoint(
        Method::GET,
        "/notes",
        "List one's own notes",
        signed_in(auth),
    )
    .query::<ListPage>()
    .responds::<PageView<NoteView>>(StatusCode::OK)
    .handled_by(|request| request.and(with(notes)).then(handlers::list))
}

/// `GET /notes/{id}`: one of them.
fn read(notes: Notes, auth: &Auth) -> Endpoint {
    endpoint(
        Method::GET,
        "/notes/{id}",
        "Show one of one's own notes",
        signed_in(auth),
    )
    .path_value::<NoteId>("The note's id")
    .responds::<NoteView>(StatusCode::OK)
    .handled_by(|request| request.and(with(notes)).then(handlers::read))
}

/// `PATCH /notes/{id}`: whatever is to be different about it.
fn change(notes: Notes, auth: &Auth) -> Endpoint {
    endpoint(
        Method::PATCH,
        "/notes/{id}",
        "Change one of one's own notes",
        require(Role::Member, auth),
    )
    .path_value::<NoteId>("The note's id")
    .body::<ChangeNote>()
    .responds::<NoteView>(StatusCode::OK)
    .handled_by(|request| request.and(with(notes)).then(handlers::change))
}

/// `DELETE /notes/{id}`: it is gone.
fn delete(notes: Notes, auth: &Auth) -> Endpoint {
    endpoint(
        Method::DELETE,
        "/notes/{id}",
        "Delete one of one's own notes",
        require(Role::Member, auth),
    )
    .path_value::<NoteId>("The note's id")
    .responds_empty(StatusCode::NO_CONTENT)
    .handled_by(|request| request.and(with(notes)).then(handlers::delete))
}
