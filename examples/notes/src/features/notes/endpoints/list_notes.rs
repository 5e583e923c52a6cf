//! `GET /notes`: list the caller's notes, a page at a time.

use chassis_http::{Endpoint, PageView, Problem, ValidationErrors, get};
use http::StatusCode;
use warp::reply::Response;

use super::NoteView;
use crate::{
    features::{
        identity::{Auth, Principal, signed_in},
        notes::{Error, Notes, tables},
    },
    shared::{ListPage, Page},
};

pub(super) fn endpoint(notes: &Notes, auth: &Auth) -> Endpoint {
    get("/notes", "List one's own notes", signed_in(auth))
        .scope("notes:read")
        .query::<ListPage>()
        .responds::<PageView<NoteView>>(StatusCode::OK)
        .with(notes.clone())
        .handler(handle)
}

async fn handle(principal: Principal, query: ListPage, notes: Notes) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let request = query.parse(&mut errors);
    errors.finish()?;
    let rows = tables::notes::list(&notes.database.reader(), principal.id(), request)
        .await
        .map_err(Error::from)?;
    let page = Page::of(rows, request, |note| *note.id.as_uuid());
    Ok(page.reply::<NoteView>("/notes", request, &[]))
}
