//! `DELETE /users/{id}`: delete an account and everything that is its own.

use chassis_http::{Endpoint, Problem, delete, no_content};
use http::StatusCode;
use warp::reply::Response;

use crate::features::identity::{
    Auth, Caller, Error, Locks, Role, UserId, accounts,
    event::Attempt,
    guard::caller_with,
    policy,
    problems::{INSUFFICIENT_LEVEL, LAST_OWNER},
};

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    let summary = "Delete an account and its sessions";
    delete("/users/{id}", summary, caller_with(Role::Admin, auth))
        .scope("users:write")
        .path_value::<UserId>("The account's id")
        .responds_empty(StatusCode::NO_CONTENT)
        .problems(&[&INSUFFICIENT_LEVEL, &LAST_OWNER])
        .with(auth.clone())
        .handler(handle)
}

async fn handle(caller: Caller, id: UserId, auth: Auth) -> Result<Response, Problem> {
    let deleted = delete_user(&auth, caller, id).await;
    Ok(auth.note_refusal(Attempt::UserDelete, Some(id), None, deleted)?)
}

async fn delete_user(auth: &Auth, caller: Caller, id: UserId) -> Result<Response, Error> {
    let (principal, transaction) = caller.begin(Locks::Delete(id)).await?;
    accounts::delete(auth, transaction, policy::Actor::from(&principal), id).await?;
    let response = no_content();
    // browser_sessions: begin
    let response = if principal.id() == id {
        auth.without_cookie(principal.credential, response)
    } else {
        response
    };
    // browser_sessions: end
    Ok(response)
}
