//! `DELETE /notes/{id}`: delete one of the caller's notes.

use chassis_http::{Endpoint, Problem, delete, no_content};
use http::StatusCode;
use warp::reply::Response;

use crate::features::{
    identity::{Auth, Caller, Locks, Role, caller_with},
    notes::{Error, NoteId, tables},
};

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    let summary = "Delete one of one's own notes";
    delete("/notes/{id}", summary, caller_with(Role::Member, auth))
        .scope("notes:write")
        .path_value::<NoteId>("The note's id")
        .responds_empty(StatusCode::NO_CONTENT)
        .handler(handle)
}

async fn handle(caller: Caller, id: NoteId) -> Result<Response, Problem> {
    delete_note(caller, id).await?;
    Ok(no_content())
}

async fn delete_note(caller: Caller, id: NoteId) -> Result<(), Error> {
    let (principal, transaction) = caller.begin(Locks::None).await?;
    if !tables::notes::delete(&transaction, principal.id(), id).await? {
        return Err(Error::NotFound);
    }
    transaction.commit().await?;
    Ok(())
}
