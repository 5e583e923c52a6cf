//! `POST /auth/email/verification`: have the link that verifies one's address sent (again).

use chassis_http::{Endpoint, Problem, accepted, post};
use http::StatusCode;
use warp::reply::Response;

use crate::features::{
    identity::{Caller, Error, Locks, caller},
    recovery::{Recovery, problems::MAIL_OFF, request::Purpose, tables},
};

pub(super) fn endpoint(recovery: &Recovery) -> Endpoint {
    let guard = caller(recovery.auth());
    post(
        "/auth/email/verification",
        "Ask for a link that verifies one's e-mail address",
        guard,
    )
    .responds_empty(StatusCode::ACCEPTED)
    .problems(&[&MAIL_OFF])
    .with(recovery.clone())
    .handler(handle)
}

/// An address that is verified already gets no mail.
async fn handle(caller: Caller, recovery: Recovery) -> Result<Response, Problem> {
    recovery.require_mail()?;
    let (principal, transaction) = caller.begin(Locks::None).await?;
    let verified = tables::accounts::is_verified(&transaction, principal.id()).await;
    if !verified.map_err(Error::from)? {
        let requests = recovery.requests();
        let opened = requests.open(&transaction, principal.id(), Purpose::Verify, None);
        opened.await?;
    }
    transaction.commit().await?;
    recovery.requests().wake();
    Ok(accepted())
}
