//! Notes: each belongs to the user who made it, and nobody else sees it.
//!
//! Endpoints: `/notes` and `/notes/{id}`.

mod domain;
mod error;
mod handlers;
mod payloads;
mod repository;
mod routes;
mod service;

pub use self::{
    domain::{NewNote, Note, NoteBody, NoteChange, NoteId, NoteTitle},
    error::Error,
    routes::endpoints,
    service::Notes,
};
