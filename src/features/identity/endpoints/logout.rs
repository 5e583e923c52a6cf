//! `POST /auth/logout`: end the session of this request.

use chassis_http::{Endpoint, Problem, no_content, post};
use http::StatusCode;
use warp::reply::Response;

use crate::features::identity::{
    Auth, Caller, Error, Locks, Revocation, event::Change, guard::caller, tables::sessions,
};

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    post("/auth/logout", "Sign out", caller(auth))
        .responds_empty(StatusCode::NO_CONTENT)
        .with(auth.clone())
        .handler(handle)
}

async fn handle(caller: Caller, auth: Auth) -> Result<Response, Problem> {
    let (principal, mut transaction) = caller.begin(Locks::Session).await?;
    let (user, session) = (principal.id(), principal.session_id());
    if let Some(id) = session {
        let (now, reason) = (auth.now(), Revocation::Logout);
        sessions::revoke(&transaction, id, user, now, reason)
            .await
            .map_err(Error::from)?;
    }
    transaction
        .emit(Change::SignedOut { user, session })
        .await?;
    transaction.commit().await?;
    let response = no_content();
    // browser_sessions: begin
    let response = auth.without_cookie(principal.credential, response);
    // browser_sessions: end
    Ok(response)
}
