//! The endpoints, one file each, and the one table from this feature's errors to problems.

mod change_note;
mod create_note;
mod delete_note;
mod list_notes;
mod note_view;
mod show_note;

use chassis_http::{Feature, Problem};

use self::note_view::NoteView;
use super::{Error, Notes};
use crate::{features::identity::Auth, shared::problems::database_problem};

/// Every endpoint of this feature.
#[must_use]
pub fn endpoints(notes: &Notes, auth: &Auth) -> Feature {
    Feature {
        name: "notes",
        description: "Keep notes of one's own",
        endpoints: vec![
            create_note::endpoint(notes, auth),
            list_notes::endpoint(notes, auth),
            show_note::endpoint(notes, auth),
            change_note::endpoint(notes, auth),
            delete_note::endpoint(auth),
        ],
    }
}

/// What a client is told about each error.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Problem::not_found(),
            Error::Identity(error) => error.into(),
            Error::Database(error) => database_problem(error),
        }
    }
}
