//! `POST /users/{id}/password-reset`: have a link to a new password sent to the owner of an account. Administrators choose
//! no passwords of others.

use chassis_http::{Endpoint, Problem, accepted, post};
use http::StatusCode;
use warp::reply::Response;

use crate::features::{
    identity::{Caller, INSUFFICIENT_LEVEL, Locks, Role, UserId, caller_with, policy::Action},
    recovery::{Recovery, problems::MAIL_OFF, request::Purpose},
};

pub(super) fn endpoint(recovery: &Recovery) -> Endpoint {
    let guard = caller_with(Role::Admin, recovery.auth());
    post(
        "/users/{id}/password-reset",
        "Send the owner of an account a link to a new password",
        guard,
    )
    .path_value::<UserId>("The user")
    .responds_empty(StatusCode::ACCEPTED)
    .problems(&[
        &INSUFFICIENT_LEVEL,
        &MAIL_OFF,
        &chassis_http::problem::NOT_FOUND,
    ])
    .with(recovery.clone())
    .handler(handle)
}

async fn handle(caller: Caller, id: UserId, recovery: Recovery) -> Result<Response, Problem> {
    recovery.require_mail()?;
    let (principal, transaction) = caller.begin(Locks::Change(id)).await?;
    let auth = recovery.auth();
    auth.permit(&transaction, &principal, Action::SendReset, id)?;
    let requests = recovery.requests();
    requests
        .open(&transaction, id, Purpose::Reset, None)
        .await?;
    transaction.commit().await?;
    requests.wake();
    Ok(accepted())
}
