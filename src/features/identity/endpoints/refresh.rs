//! `POST /auth/refresh`: exchange a refresh token for the next pair.

use chassis_http::{Endpoint, Problem, json, post, presented_token};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::tokens_view::TokensView;
use crate::features::identity::{Auth, problems::INVALID_TOKEN};

/// A refresh token to exchange.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshSession {
    #[schema(value_type = String)]
    refresh_token: SecretString,
}

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    post(
        "/auth/refresh",
        "Exchange a refresh token",
        presented_token(),
    )
    .rate_limited(auth.limits().per_source())
    .body::<RefreshSession>()
    .responds::<TokensView>(StatusCode::OK)
    .problems(&[&INVALID_TOKEN])
    .with(auth.clone())
    .handler(handle)
}

async fn handle(request: RefreshSession, auth: Auth) -> Result<Response, Problem> {
    let pair = auth.refresh(request.refresh_token.expose_secret()).await?;
    Ok(json(StatusCode::OK, &TokensView::from(pair)))
}
