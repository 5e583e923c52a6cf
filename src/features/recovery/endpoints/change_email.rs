//! `POST /auth/email/change`: confirm a new address by the link that was sent to it.

use chassis_http::{Endpoint, Problem, no_content, optional, post};
use http::StatusCode;
use secrecy::ExposeSecret;
use warp::reply::Response;

use super::verify::ProveAddress;
use crate::features::{
    identity::{
        Caller, ClientInfo, EMAIL_TAKEN, Email, Error, Locks, WRONG_PASSWORD, client_info,
        maybe_caller, maybe_caller_problems,
    },
    recovery::{
        Recovery,
        problems::TOKEN_INVALID,
        request::Purpose,
        service::{OwnerProof, token_invalid},
        tables,
    },
};

pub(super) fn endpoint(recovery: &Recovery) -> Endpoint {
    post(
        "/auth/email/change",
        "Confirm one's new e-mail address by a link",
        optional(),
    )
    .rate_limited(recovery.auth().limits().per_source())
    .body::<ProveAddress>()
    .responds_empty(StatusCode::NO_CONTENT)
    .problems(&[&TOKEN_INVALID, &WRONG_PASSWORD, &EMAIL_TAKEN])
    .problems(&maybe_caller_problems())
    .extract(maybe_caller(recovery.auth()))
    .extract(client_info())
    .with(recovery.clone())
    .handler(handle)
}

async fn handle(
    request: ProveAddress,
    caller: Option<Caller>,
    client: ClientInfo,
    recovery: Recovery,
) -> Result<Response, Problem> {
    let proof = OwnerProof {
        caller,
        password: request.password,
        client,
    };
    let token = request.token.expose_secret();
    let begun = recovery.begin_for_owner(token, Purpose::Change, proof, Locks::Address);
    let (request, owner, mut transaction) = begun.await?;
    let user = owner.user;
    let email = Email::parse(request.mailbox()).map_err(|_| token_invalid())?;
    recovery.complete(&transaction, &request).await?;
    recovery
        .auth()
        .replace_email(&mut transaction, &user, email, owner.session)
        .await?;
    // After the address, whose change takes the mark of the one before away.
    let now = recovery.requests().now();
    let verified = tables::accounts::set_verified(&transaction, user.id, now).await;
    verified.map_err(Error::from)?;
    transaction.commit().await?;
    Ok(no_content())
}
