//! `GET /auth/email/verification`: show what is known of one's address.

use chassis_http::{Endpoint, Problem, get, json};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use warp::reply::Response;

use crate::{
    features::{
        identity::{Principal, signed_in},
        recovery::{Recovery, tables},
    },
    shared::problems::database_problem,
};

/// What is known of an address.
#[derive(Serialize, ToSchema)]
#[schema(as = EmailVerification)]
struct EmailVerificationView {
    /// Whether the owner of the account was shown to read its mailbox.
    verified: bool,
    /// The address that replaces it once the link sent there was followed; null when there is none.
    pending_email: Option<String>,
}

pub(super) fn endpoint(recovery: &Recovery) -> Endpoint {
    let guard = signed_in(recovery.auth());
    get(
        "/auth/email/verification",
        "Show whether one's e-mail address is verified",
        guard,
    )
    .scope("account:read")
    .responds::<EmailVerificationView>(StatusCode::OK)
    .with(recovery.clone())
    .handler(handle)
}

async fn handle(principal: Principal, recovery: Recovery) -> Result<Response, Problem> {
    let requests = recovery.requests();
    let reader = requests.database().reader();
    let known = tables::accounts::verification(&reader, principal.id(), requests.now());
    let (verified, pending_email) = known.await.map_err(database_problem)?;
    let view = EmailVerificationView {
        verified,
        pending_email,
    };
    Ok(json(StatusCode::OK, &view))
}
