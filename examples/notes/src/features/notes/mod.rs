//! Notes: each belongs to the user who created it, and no other user sees it.
//!
//! Endpoints: `/notes` and `/notes/{id}`.

mod endpoints;
mod error;
mod note;
mod state;
mod tables;

pub use self::{
    endpoints::endpoints,
    error::Error,
    note::{NewNote, Note, NoteBody, NoteChange, NoteId, NoteTitle},
    state::Notes,
};
