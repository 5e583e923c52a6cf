//! `POST /auth/reauthenticate`: give the password again, before something that takes it.

use chassis_http::{Endpoint, Problem, no_content, post};
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::schemas::password_schema;
use crate::features::identity::{
    Auth, Caller, Error, Locks,
    event::{Attempt, Change},
    guard::caller,
    problems::WRONG_PASSWORD,
    tables::sessions,
};

/// The caller's password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reauthenticate {
    #[schema(schema_with = password_schema)]
    current_password: SecretString,
}

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    let summary = "Give one's password again";
    post("/auth/reauthenticate", summary, caller(auth))
        .body::<Reauthenticate>()
        .responds_empty(StatusCode::NO_CONTENT)
        .problems(&[&WRONG_PASSWORD])
        .with(auth.clone())
        .handler(handle)
}

async fn handle(caller: Caller, request: Reauthenticate, auth: Auth) -> Result<Response, Problem> {
    let (user, session) = (Some(caller.user_id()), caller.session_id());
    let response = reauthenticate(&auth, caller, request.current_password).await;
    Ok(auth.note_refusal(Attempt::Reauthenticate, user, session, response)?)
}

/// Takes note that the password was given when it is right, and still is under lock.
async fn reauthenticate(
    auth: &Auth,
    caller: Caller,
    current_password: SecretString,
) -> Result<Response, Error> {
    let verified = auth
        .verify_current_password(&caller, current_password)
        .await?;
    let (principal, mut transaction) = caller.begin(Locks::Session).await?;
    verified.check_under_lock(&transaction).await?;
    let user = principal.id();
    // What is no session was refused by the guard: this endpoint has no scope.
    let session = principal.session_id().ok_or(Error::InvalidAccessToken)?;
    sessions::reauthenticate(&transaction, session, auth.now()).await?;
    let response = no_content();
    // browser_sessions: begin
    let response = auth
        .with_new_cookie(&transaction, &principal, response)
        .await?;
    // browser_sessions: end
    let change = Change::Reauthenticated { user, session };
    transaction.emit(change).await?;
    transaction.commit().await?;
    Ok(response)
}
