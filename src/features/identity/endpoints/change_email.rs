//! `PATCH /auth/me`: change the caller's address.

use chassis_http::{Endpoint, Problem, ValidationErrors, json, patch};
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::{
    UserView,
    schemas::{email_schema, password_schema},
};
use crate::features::identity::{
    Auth, Caller, Email, Error, Locks, Password, User,
    event::{Attempt, Change},
    guard::caller,
    problems::{EMAIL_TAKEN, WRONG_PASSWORD},
    tables::users,
};

/// A new address, and the password that proves whose account it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeEmail {
    #[schema(schema_with = email_schema)]
    email: String,
    #[schema(schema_with = password_schema)]
    current_password: SecretString,
}

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    patch("/auth/me", "Change one's e-mail address", caller(auth))
        .body::<ChangeEmail>()
        .responds::<UserView>(StatusCode::OK)
        .problems(&[&EMAIL_TAKEN, &WRONG_PASSWORD])
        .with(auth.clone())
        .handler(handle)
}

async fn handle(caller: Caller, request: ChangeEmail, auth: Auth) -> Result<Response, Problem> {
    let mut errors = ValidationErrors::new();
    let Some(email) = errors.check("/email", Email::parse(&request.email)) else {
        return Err(errors.into());
    };
    let apart = Password::check_against_address(&request.current_password, &email);
    errors.check("/email", apart);
    errors.finish()?;
    let (user, session) = (Some(caller.user_id()), caller.session_id());
    let changed = change_email(&auth, caller, email, request.current_password).await;
    let changed = auth.note_refusal(Attempt::EmailChange, user, session, changed)?;
    Ok(json(StatusCode::OK, &UserView::from(changed)))
}

/// Changes the address when the password is right, and still is under lock.
async fn change_email(
    auth: &Auth,
    caller: Caller,
    email: Email,
    current_password: SecretString,
) -> Result<User, Error> {
    let verified = auth
        .verify_current_password(&caller, current_password)
        .await?;
    let (principal, mut transaction) = caller.begin(Locks::Address).await?;
    verified.check_under_lock(&transaction).await?;
    let id = principal.id();
    let changed = users::update_email(&transaction, id, &email, auth.now()).await?;
    let changed = changed.ok_or(Error::NotFound)?;
    let change = Change::EmailChanged {
        user: id,
        session: principal.session_id(),
        before: principal.user.email,
        after: email,
    };
    transaction.emit(change).await?;
    transaction.commit().await?;
    Ok(changed)
}
