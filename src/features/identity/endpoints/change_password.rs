//! `POST /auth/password`: change the caller's password, and end its other sessions.

use chassis_http::{Endpoint, Problem, ValidationErrors, no_content, post};
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::schemas::{new_password_schema, password_schema};
use crate::features::identity::{
    Auth, Caller, Error, Locks, Password, Revocation,
    event::{Attempt, Change},
    guard::caller,
    networks,
    problems::WRONG_PASSWORD,
    tables::{auth_networks, sessions, users},
};

/// The old password and the new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    #[schema(schema_with = password_schema)]
    current_password: SecretString,
    #[schema(schema_with = new_password_schema)]
    new_password: SecretString,
    // api_keys: begin
    /// Whether the account's API keys end as well. Absent: they do not.
    #[serde(default)]
    #[schema(required = false, example = false)]
    revoke_api_keys: bool,
    // api_keys: end
}

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    post("/auth/password", "Change one's password", caller(auth))
        .body::<ChangePassword>()
        .responds_empty(StatusCode::NO_CONTENT)
        .problems(&[&WRONG_PASSWORD])
        .with(auth.clone())
        .handler(handle)
}

async fn handle(caller: Caller, request: ChangePassword, auth: Auth) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let new = Password::parse(&request.new_password, caller.email(), auth.policy());
    let Some(new) = errors.check("/new_password", new) else {
        return Err(errors.into());
    };
    let (user, session) = (Some(caller.user_id()), caller.session_id());
    let changed = change_password(
        &auth,
        caller,
        request.current_password,
        new,
        // api_keys: begin
        request.revoke_api_keys,
        // api_keys: end
    );
    let changed = changed.await;
    auth.note_refusal(Attempt::PasswordChange, user, session, changed)?;
    Ok(no_content())
}

/// Changes the password when the current one is right, and still is under lock.
///
/// Both are hashed before the transaction begins: no transaction is open while a password is hashed.
async fn change_password(
    auth: &Auth,
    caller: Caller,
    current_password: SecretString,
    new: Password,
    // api_keys: begin
    revokes_keys: bool,
    // api_keys: end
) -> Result<(), Error> {
    let verified = auth
        .verify_current_password(&caller, current_password)
        .await?;
    let hash = auth.hasher().hash(new.clone()).await?;
    let network = caller.client().network();
    let (principal, mut transaction) = caller.begin(Locks::Account).await?;
    verified.check_under_lock(&transaction).await?;
    // The address may have become another while the passwords were hashed.
    new.check_for(&principal.user.email)?;
    let (id, session, now) = (principal.id(), principal.session_id(), auth.now());
    users::update_hash(&transaction, id, &hash, now).await?;
    let reason = Revocation::PasswordChange;
    sessions::revoke_all(&transaction, id, session, now, reason).await?;
    // Others may have signed in from so many networks since that this one was forgotten; the password was just proven.
    if let Some(network) = network.map(networks::octets) {
        auth_networks::remember(&transaction, id, &network, now, networks::MOST).await?;
    }
    let change = Change::PasswordChanged {
        user: id,
        session,
        // api_keys: begin
        revokes_keys,
        // api_keys: end
    };
    transaction.emit(change).await?;
    transaction.commit().await
}
