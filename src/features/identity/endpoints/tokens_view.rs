//! A pair of tokens as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use crate::features::identity::TokenPair;

/// A pair of tokens (RFC 6749, section 5.1).
#[derive(Serialize, ToSchema)]
#[schema(as = Tokens)]
pub(super) struct TokensView {
    /// To be sent as `Authorization: Bearer …`.
    access_token: String,
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: i64,
    /// Good for one exchange at `POST /auth/refresh`. Presented again within 10 s it gives the same successor.
    refresh_token: String,
    /// Seconds until the refresh token expires.
    refresh_expires_in: i64,
}

impl From<TokenPair> for TokensView {
    fn from(pair: TokenPair) -> Self {
        Self {
            access_token: pair.access.text,
            token_type: "bearer",
            expires_in: pair.access.lifetime.whole_seconds(),
            refresh_token: pair.refresh.expose().to_owned(),
            refresh_expires_in: pair.refresh_lifetime.whole_seconds(),
        }
    }
}
