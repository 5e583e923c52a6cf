//! `POST /auth/revoke`: end the session of a token, by the form of RFC 7009.
//!
//! This is how a client signs out that has only an expired access token left, or only its refresh token. Whoever holds a
//! token of a session may end it, and can do no more by it than that.

use bytes::Bytes;
use chassis_http::schema::reference;
use chassis_http::{Endpoint, MediaType, Problem, json, post, presented_token, raw_body};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::{
    ToSchema,
    openapi::{
        Content, Required,
        request_body::{RequestBody, RequestBodyBuilder},
    },
};
use warp::{
    Filter,
    filters::BoxedFilter,
    reply::{Reply, Response},
};

use super::token_form::{TokenErrorView, parameter};
use crate::features::{
    identity::{
        Auth, ClientInfo, Error, RefreshToken, Revocation, SessionId, UserId,
        client_info::client_info,
        event::{Attempt, Change},
        limit_keys, tables,
    },
    limits::SourceAttempt,
};

/// A form of RFC 7009, section 2.1.
#[derive(Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "it describes the form; the handler reads it pair by pair, as the RFC asks"
)]
struct RevokeToken {
    /// A refresh token, used or not, or an access token, expired or not.
    #[schema(min_length = 1)]
    token: String,
    /// `access_token` or `refresh_token`. It is not needed: each kind is recognised.
    #[schema(value_type = String, required = false)]
    token_type_hint: Option<String>,
}

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    let summary = "End the session of a token";
    post("/auth/revoke", summary, presented_token())
        .rate_limited(auth.limits().per_source_by_handler())
        .with_schema::<RevokeToken>()
        .with_schema::<TokenErrorView>()
        .body_with(form(), body_doc())
        .responds_empty(StatusCode::OK)
        .responds_with(
            StatusCode::BAD_REQUEST,
            TokenErrorView::doc("`invalid_request`: a parameter is missing or repeated"),
        )
        .extract(client_info())
        .extract(auth.limits().attempt())
        .with(auth.clone())
        .handler(handle)
}

fn form() -> BoxedFilter<(Bytes,)> {
    raw_body(&[MediaType::Form]).map(|_, body| body).boxed()
}

fn body_doc() -> RequestBody {
    let form = Content::new(Some(reference::<RevokeToken>()));
    RequestBodyBuilder::new()
        .content("application/x-www-form-urlencoded", form)
        .required(Some(Required::True))
        .build()
}

async fn handle(
    body: Bytes,
    client: ClientInfo,
    attempt: SourceAttempt,
    auth: Auth,
) -> Result<Response, Problem> {
    let token = match token_in(&body) {
        Ok(token) => token,
        Err(error) => {
            attempt.count().await?;
            return Ok(json(StatusCode::BAD_REQUEST, &error));
        }
    };
    // A token of ours is no guess. So that it is no way past the limits, each can be presented only so often.
    let key = limit_keys::presented(token.expose_secret());
    auth.limits().take_presented(key).map_err(Error::from)?;
    attempt.peek().await?;
    match revoke(&auth, token.expose_secret(), client).await {
        Ok(()) => {}
        // A client could do nothing about it, so it is told nothing (section 2.2), nor by a header. A guess counts all
        // the same.
        Err(Error::InvalidToken) => attempt.count_silently().await?,
        Err(error) => return Err(error.into()),
    }
    Ok(StatusCode::OK.into_response())
}

fn token_in(body: &[u8]) -> Result<SecretString, TokenErrorView> {
    // Any hint will do, but a repeated one is an error like any other.
    parameter(body, "token_type_hint")?;
    let token = parameter(body, "token")?;
    let token = token.ok_or_else(|| TokenErrorView::invalid_request("token is missing"))?;
    Ok(token.into())
}

/// Ends the session that a token belongs to, if it has not ended yet.
async fn revoke(auth: &Auth, token: &str, client: ClientInfo) -> Result<(), Error> {
    // api_keys: begin
    if let Some(keys) = &auth.flows().keys
        && keys.recognizes(token)
    {
        return revoke_key(auth, &**keys, token, client).await;
    }
    // api_keys: end
    let Some((session, user)) = session_of(auth, token).await? else {
        return auth.note_refusal(Attempt::SessionEnd, None, None, Err(Error::InvalidToken));
    };
    let mut transaction = auth.begin_revocation(client).await?;
    let (now, reason) = (auth.now(), Revocation::Revoked);
    if tables::sessions::revoke(&transaction, session, user, now, reason).await? {
        let change = Change::SessionRevoked { user, session };
        transaction.emit(change).await?;
        transaction.commit().await?;
    }
    Ok(())
}

// api_keys: begin
use crate::features::identity::ApiKeys;

/// Ends a key, if it has not ended yet: whoever found one can make it harmless.
async fn revoke_key(
    auth: &Auth,
    keys: &dyn ApiKeys,
    token: &str,
    client: ClientInfo,
) -> Result<(), Error> {
    let Some((key, user)) = keys.find(token).await? else {
        return auth.note_refusal(Attempt::KeyRevoke, None, None, Err(Error::InvalidToken));
    };
    let mut transaction = auth.begin_revocation(client).await?;
    if keys.revoke(&transaction, key, user).await? {
        let change = Change::KeyRevoked { user, key };
        transaction.emit(change).await?;
        transaction.commit().await?;
    }
    Ok(())
}
// api_keys: end

/// The session that a token of ours names.
async fn session_of(auth: &Auth, token: &str) -> Result<Option<(SessionId, UserId)>, Error> {
    let Some(token) = RefreshToken::parse(token) else {
        let claims = auth.tokens().verify_even_expired(token, auth.now());
        return Ok(claims
            .ok()
            .map(|claims| (claims.session_id, claims.user_id)));
    };
    let reads = auth.database().read_pool();
    Ok(tables::refresh_tokens::find_session(reads, token.hash()).await?)
}
