//! `POST /auth/password/forgot`: have a link to a new password sent.

use chassis_http::{Endpoint, Problem, ValidationErrors, accepted, post, public};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use crate::features::{
    identity::{Email, email_schema},
    recovery::{Recovery, problems::MAIL_OFF},
};

/// The address of an account whose password is forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ForgotPassword {
    #[schema(schema_with = email_schema)]
    email: String,
}

pub(super) fn endpoint(recovery: &Recovery) -> Endpoint {
    post(
        "/auth/password/forgot",
        "Ask for a link to a new password",
        public(),
    )
    .rate_limited(recovery.auth().limits().per_source())
    .body::<ForgotPassword>()
    .responds_empty(StatusCode::ACCEPTED)
    .problems(&[&MAIL_OFF])
    .with(recovery.clone())
    .handler(handle)
}

/// The same for every address: whether it has an account is for the job to find out.
async fn handle(request: ForgotPassword, recovery: Recovery) -> Result<Response, Problem> {
    recovery.require_mail()?;
    let mut errors = ValidationErrors::new();
    let Some(email) = errors.check("/email", Email::parse(&request.email)) else {
        return Err(errors.into());
    };
    recovery.requests().note_forgotten(&email).await?;
    Ok(accepted())
}
