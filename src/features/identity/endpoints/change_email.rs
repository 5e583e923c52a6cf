//! `PATCH /auth/me`: change the caller's address, at once or when it was confirmed.

use chassis_http::{Endpoint, Problem, ValidationErrors, json, patch};
use http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::reply::Response;

use super::{
    UserView,
    schemas::{email_schema, password_schema},
};
use crate::features::identity::{
    Auth, Caller, Email, Error, Locks, Password, User,
    event::Attempt,
    guard::caller,
    problems::{EMAIL_TAKEN, WRONG_PASSWORD},
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

/// An address that becomes the account's once it is confirmed.
#[derive(Serialize, ToSchema)]
struct PendingEmailView {
    #[schema(schema_with = email_schema)]
    pending_email: String,
}

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    patch("/auth/me", "Change one's e-mail address", caller(auth))
        .body::<ChangeEmail>()
        .responds::<UserView>(StatusCode::OK)
        .responds::<PendingEmailView>(StatusCode::ACCEPTED)
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
    Ok(
        match auth.note_refusal(Attempt::EmailChange, user, session, changed)? {
            Outcome::Changed(user) => json(StatusCode::OK, &UserView::from(user)),
            Outcome::Pending(email) => {
                let pending_email = email.as_str().to_owned();
                json(StatusCode::ACCEPTED, &PendingEmailView { pending_email })
            }
        },
    )
}

enum Outcome {
    Changed(User),
    /// Whoever reads the mail to this address is asked first.
    Pending(Email),
}

/// Changes the address when the password is right, and still is under lock; where addresses are confirmed, asks for that.
async fn change_email(
    auth: &Auth,
    caller: Caller,
    email: Email,
    current_password: SecretString,
) -> Result<Outcome, Error> {
    let verified = auth
        .verify_current_password(&caller, current_password)
        .await?;
    let (principal, mut transaction) = caller.begin(Locks::Address).await?;
    verified.check_under_lock(&transaction).await?;
    if let Some(confirm) = &auth.flows().confirm_email {
        confirm(&transaction, &principal.user, &email).await?;
        transaction.commit().await?;
        return Ok(Outcome::Pending(email));
    }
    let session = principal.session_id();
    let changed = auth
        .replace_email(&mut transaction, &principal.user, email, session)
        .await?;
    transaction.commit().await?;
    Ok(Outcome::Changed(changed))
}
