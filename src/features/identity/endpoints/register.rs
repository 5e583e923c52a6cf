//! `POST /auth/register`: create an account, with the lowest role.

use chassis_http::{Endpoint, Problem, ValidationErrors, created, post, public};
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
    Auth, ClientInfo, Email, Password, client_info::client_info, event::Attempt, limit_keys,
    problems::EMAIL_TAKEN,
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
        .problems(&[&EMAIL_TAKEN])
        .extract(client_info())
        .with(auth.clone())
        .handler(handle)
}

async fn handle(
    request: RegisterUser,
    client: ClientInfo,
    auth: Auth,
) -> Result<Response, Problem> {
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
    let user = auth.register(email, password, client).await?;
    let location = format!("/users/{}", user.id);
    Ok(created(&location, &UserView::from(user)))
}
