//! `POST /auth/refresh`: exchange a refresh token for the next pair.

use chassis_http::{Endpoint, Problem, json, post, presented_token};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::{schemas::token_schema, tokens_view::TokensView};
use crate::features::{
    identity::{Auth, Error, TokenPair, problems::INVALID_TOKEN},
    limits::SourceAttempt,
};

/// A refresh token to exchange.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshSession {
    #[schema(schema_with = token_schema)]
    refresh_token: SecretString,
}

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    post(
        "/auth/refresh",
        "Exchange a refresh token",
        presented_token(),
    )
    .rate_limited(auth.limits().per_source_by_handler())
    .body::<RefreshSession>()
    .responds::<TokensView>(StatusCode::OK)
    .problems(&[&INVALID_TOKEN])
    .extract(auth.limits().attempt())
    .with(auth.clone())
    .handler(handle)
}

async fn handle(
    request: RefreshSession,
    attempt: SourceAttempt,
    auth: Auth,
) -> Result<Response, Problem> {
    let pair = refresh(&auth, request.refresh_token.expose_secret(), &attempt).await?;
    Ok(json(StatusCode::OK, &TokensView::from(pair)))
}

/// Exchanges a refresh token. Only one that is refused counts as an attempt.
pub(super) async fn refresh(
    auth: &Auth,
    token: &str,
    attempt: &SourceAttempt,
) -> Result<TokenPair, Error> {
    auth.note_presented(token)?;
    attempt.peek().await?;
    let exchanged = auth.refresh(token, attempt.network()).await;
    if let Err(Error::InvalidRefreshToken) = exchanged {
        attempt.count().await?;
    }
    exchanged
}
