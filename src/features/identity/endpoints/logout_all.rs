//! `POST /auth/logout-all`: end all sessions of the caller.

use chassis_http::{Endpoint, Problem, no_content, post};
use http::StatusCode;
use warp::reply::Response;

use crate::features::identity::{
    Auth, Caller, Error, Locks, Revocation, event::Change, guard::caller, tables::sessions,
};

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    post("/auth/logout-all", "Sign out everywhere", caller(auth))
        .responds_empty(StatusCode::NO_CONTENT)
        .with(auth.clone())
        .handler(handle)
}

async fn handle(caller: Caller, auth: Auth) -> Result<Response, Problem> {
    let (principal, mut transaction) = caller.begin(Locks::Account).await?;
    let user = principal.id();
    let (now, reason) = (auth.now(), Revocation::LogoutAll);
    sessions::revoke_all(&transaction, user, None, now, reason)
        .await
        .map_err(Error::from)?;
    transaction
        .emit(Change::AllSessionsRevoked { user })
        .await?;
    transaction.commit().await?;
    let response = no_content();
    // browser_sessions: begin
    let response = auth.without_cookie(principal.credential, response);
    // browser_sessions: end
    Ok(response)
}
