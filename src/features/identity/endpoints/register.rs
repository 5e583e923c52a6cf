//! `POST /auth/register`: create an account, with the lowest role, at once or later.

use chassis_http::{Endpoint, Problem, ValidationErrors, accepted, created, post, public};
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::{
    UserView,
    schemas::{email_schema, new_password_schema},
};
use crate::features::identity::{
    Auth, ClientInfo, Email, Error, Password, Registration,
    client_info::client_info,
    event::Attempt,
    limit_keys,
    problems::{EMAIL_TAKEN, REGISTRATION_CLOSED},
};

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "test@example.com", "password": "Pass123!"}))]
struct RegisterUser {
    #[schema(schema_with = email_schema)]
    email: String,
    #[schema(schema_with = new_password_schema)]
    password: SecretString,
}

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    post("/auth/register", "Create an account", public())
        .rate_limited(auth.limits().per_source())
        .body::<RegisterUser>()
        .responds::<UserView>(StatusCode::CREATED)
        .responds_empty(StatusCode::ACCEPTED)
        .problems(&[&EMAIL_TAKEN, &REGISTRATION_CLOSED])
        .extract(client_info())
        .with(auth.clone())
        .handler(handle)
}

async fn handle(
    request: RegisterUser,
    client: ClientInfo,
    auth: Auth,
) -> Result<Response, Problem> {
    if matches!(auth.flows().registration, Registration::Closed) {
        let closed = Err(Error::RegistrationClosed);
        return Ok(auth.note_refusal(Attempt::Register, None, None, closed)?);
    }
    let mut errors = ValidationErrors::new();
    let email = errors.check("/email", Email::parse(&request.email));
    let password = email.as_ref().and_then(|email| {
        let password = Password::parse(&request.password, email, auth.policy());
        errors.check("/password", password)
    });
    let (Some(email), Some(password)) = (email, password) else {
        return Err(errors.into());
    };
    auth.count_attempt(Attempt::Register, limit_keys::account(&email))
        .await?;
    if let Registration::Neutral(later) = &auth.flows().registration {
        let hash = auth.hasher().hash(password).await.map_err(Error::from)?;
        later(email, hash, client).await?;
        return Ok(accepted());
    }
    let user = auth.register(email, password, client).await?;
    let location = format!("/users/{}", user.id);
    Ok(created(&location, &UserView::from(user)))
}
