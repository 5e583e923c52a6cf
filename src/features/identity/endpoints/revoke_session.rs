//! `DELETE /auth/sessions/{id}`: end one of the caller's sessions.

use chassis_http::{Endpoint, Problem, delete, no_content};
use http::StatusCode;
use warp::reply::Response;

use crate::features::identity::{
    Auth, Caller, Error, Locks, Revocation, SessionId, event::Change, guard::caller,
    tables::sessions,
};

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    let summary = "End one of one's own sessions";
    delete("/auth/sessions/{id}", summary, caller(auth))
        .path_value::<SessionId>("The session's id")
        .responds_empty(StatusCode::NO_CONTENT)
        .with(auth.clone())
        .handler(handle)
}

async fn handle(caller: Caller, id: SessionId, auth: Auth) -> Result<Response, Problem> {
    let (principal, mut transaction) = caller.begin(Locks::Account).await?;
    let (user, now, reason) = (principal.id(), auth.now(), Revocation::Logout);
    if !sessions::revoke(&transaction, id, user, now, reason)
        .await
        .map_err(Error::from)?
    {
        return Err(Error::SessionNotFound.into());
    }
    let change = Change::SessionRevoked { user, session: id };
    transaction.emit(change).await?;
    transaction.commit().await?;
    let response = no_content();
    // browser_sessions: begin
    let response = if principal.session_id() == Some(id) {
        auth.without_cookie(principal.credential, response)
    } else {
        response
    };
    // browser_sessions: end
    Ok(response)
}
