//! Sessions and tokens as JSON, in and out.

use std::net::IpAddr;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::features::identity::{Grant, Session, SessionId};

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "test@example.com", "password": "Pass123!"}))]
pub(super) struct RegisterUser {
    /// At most 254 characters; compared without case.
    #[schema(format = Email, max_length = 254)]
    pub(super) email: String,
    /// 8 to 128 characters, and no common password.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    pub(super) password: SecretString,
}

/// An account's address and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "test@example.com", "password": "Pass123!"}))]
pub(super) struct SignIn {
    #[schema(format = Email)]
    pub(super) email: String,
    #[schema(value_type = String, format = Password)]
    pub(super) password: SecretString,
}

/// A form of RFC 6749: sections 4.3.2 and 6.
#[derive(Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "it describes the form; the handler reads it pair by pair, as the RFC asks"
)]
pub(super) struct TokenForm {
    /// `password` or `refresh_token`.
    grant_type: String,
    /// The e-mail address, for `password`.
    username: Option<String>,
    /// For `password`.
    #[schema(format = Password)]
    password: Option<String>,
    /// For `refresh_token`.
    refresh_token: Option<String>,
}

/// A refresh token to exchange.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshSession {
    #[schema(value_type = String)]
    pub(super) refresh_token: SecretString,
}

/// A new address, and the password that proves whose account it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeEmail {
    #[schema(format = Email, max_length = 254)]
    pub(super) email: String,
    #[schema(value_type = String, format = Password)]
    pub(super) current_password: SecretString,
}

/// The old password and the new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePassword {
    #[schema(value_type = String, format = Password)]
    pub(super) current_password: SecretString,
    /// 8 to 128 characters, and no common password.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    pub(super) new_password: SecretString,
}

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
    /// Good for one exchange at `POST /auth/refresh`.
    refresh_token: String,
    /// Seconds until the refresh token expires.
    refresh_expires_in: i64,
}

impl From<Grant> for TokensView {
    fn from(grant: Grant) -> Self {
        Self {
            access_token: grant.access.text,
            token_type: "bearer",
            expires_in: grant.access.lifetime.whole_seconds(),
            refresh_token: grant.refresh.expose().to_owned(),
            refresh_expires_in: grant.refresh_lifetime.whole_seconds(),
        }
    }
}

/// A failure of the form (RFC 6749, section 5.2).
#[derive(Serialize, ToSchema)]
#[schema(as = TokenError)]
pub(super) struct TokenErrorView {
    #[schema(example = "invalid_grant")]
    pub(super) error: &'static str,
    pub(super) error_description: &'static str,
}

/// One sign-in of one's own.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionView {
    id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_used_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// Where it was opened from.
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    user_agent: Option<String>,
    /// Whether this request belongs to it.
    current: bool,
}

/// One's own sessions, oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionList)]
pub(super) struct SessionListView {
    items: Vec<SessionView>,
}

impl SessionListView {
    pub(super) fn new(sessions: Vec<Session>, current: SessionId) -> Self {
        let view = |session: Session| SessionView {
            id: *session.id.as_uuid(),
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            ip: session.ip,
            user_agent: session.user_agent,
            current: session.id == current,
        };
        Self {
            items: sessions.into_iter().map(view).collect(),
        }
    }
}
