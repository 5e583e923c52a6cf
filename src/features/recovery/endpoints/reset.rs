//! `POST /auth/password/reset`: choose a new password by a link.

use chassis_http::{Endpoint, Problem, ValidationErrors, no_content, post, public};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use crate::features::{
    identity::{
        ClientInfo, Email, Error, Locks, Password, Revocation, client_info, new_password_schema,
    },
    recovery::{
        Recovery, problems::TOKEN_INVALID, request::Purpose, service::token_invalid, tables,
    },
};

/// The token of a link, and the password to have from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResetPassword {
    #[schema(value_type = String, min_length = 1)]
    token: SecretString,
    #[schema(schema_with = new_password_schema)]
    new_password: SecretString,
}

pub(super) fn endpoint(recovery: &Recovery) -> Endpoint {
    post(
        "/auth/password/reset",
        "Choose a new password by a link",
        public(),
    )
    .rate_limited(recovery.auth().limits().per_source())
    .body::<ResetPassword>()
    .responds_empty(StatusCode::NO_CONTENT)
    .problems(&[&TOKEN_INVALID])
    .extract(client_info())
    .with(recovery.clone())
    .handler(handle)
}

/// Ends every session of the account and opens none. Who reads the mail is proven as well, so the address is verified.
async fn handle(
    request: ResetPassword,
    client: ClientInfo,
    recovery: Recovery,
) -> Result<Response, Problem> {
    let (auth, token) = (recovery.auth(), request.token.expose_secret());
    let seen = recovery.find(token, Purpose::Reset).await?;
    let email = Email::parse(&seen.email).map_err(|_| token_invalid())?;
    let mut errors = ValidationErrors::new();
    let new = Password::parse(&request.new_password, &email, auth.policy());
    let Some(new) = errors.check("/new_password", new) else {
        return Err(errors.into());
    };
    let hash = auth.hash(new.clone()).await?;
    let begun = auth
        .begin_for_proof(seen.user, Locks::Account, client)
        .await?;
    let (user, mut transaction) = begun.ok_or_else(token_invalid)?;
    if !user.is_active {
        return Err(token_invalid());
    }
    let request = recovery
        .find_in(&transaction, token, Purpose::Reset)
        .await?;
    new.check_for(&user.email).map_err(Error::from)?;
    recovery.complete(&transaction, &request).await?;
    let now = recovery.requests().now();
    let verified = tables::accounts::set_verified(&transaction, user.id, now).await;
    verified.map_err(Error::from)?;
    let reason = Revocation::PasswordChange;
    auth.replace_password(&mut transaction, user.id, &hash, reason)
        .await?;
    transaction.commit().await?;
    Ok(no_content())
}
