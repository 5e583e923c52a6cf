//! `POST /auth/email/verify`: show by a link that the mail of the account's address is read.

use chassis_http::{Endpoint, Problem, no_content, optional, post};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use crate::features::{
    identity::{
        Caller, ClientInfo, Error, Locks, WRONG_PASSWORD, client_info, maybe_caller,
        maybe_caller_problems,
    },
    recovery::{Recovery, problems::TOKEN_INVALID, request::Purpose, service::OwnerProof, tables},
};

/// The token of a link. The password of the account, unless the request is signed in to it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProveAddress {
    #[schema(value_type = String, min_length = 1)]
    pub(super) token: SecretString,
    #[schema(value_type = String, format = Password, min_length = 1, nullable = false)]
    #[serde(default, deserialize_with = "crate::shared::present")]
    pub(super) password: Option<SecretString>,
}

pub(super) fn endpoint(recovery: &Recovery) -> Endpoint {
    post(
        "/auth/email/verify",
        "Verify one's e-mail address by a link",
        optional(),
    )
    .rate_limited(recovery.auth().limits().per_source())
    .body::<ProveAddress>()
    .responds_empty(StatusCode::NO_CONTENT)
    .problems(&[&TOKEN_INVALID, &WRONG_PASSWORD])
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
    let begun = recovery.begin_for_owner(token, Purpose::Verify, proof, Locks::Account);
    let (request, owner, transaction) = begun.await?;
    recovery.complete(&transaction, &request).await?;
    let now = recovery.requests().now();
    let verified = tables::accounts::set_verified(&transaction, owner.user.id, now).await;
    verified.map_err(Error::from)?;
    transaction.commit().await?;
    Ok(no_content())
}
