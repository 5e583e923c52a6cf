//! `POST /auth/token`: open a session for a password, by JSON or by the form of OAuth 2.0.

use bytes::Bytes;
use chassis_http::{
    Endpoint, MediaType, Problem, ValidationErrors, json, parse_json, post, public, raw_body,
    schema::reference,
};
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
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    refresh::refresh,
    schemas::{email_schema, password_schema},
    token_form::{TokenErrorView, parameter},
    tokens_view::TokensView,
};
use crate::features::{
    identity::{
        Auth, ClientInfo, Email, Error, TokenPair, User, WriteTransaction,
        authentication::CredentialsRefused,
        client_info::client_info,
        event::Attempt,
        problems::{EMAIL_UNVERIFIED, INVALID_CREDENTIALS},
    },
    limits::SourceAttempt,
};

/// An account's address and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "test@example.com", "password": "Pass123!"}))]
struct SignIn {
    #[schema(schema_with = email_schema)]
    email: String,
    #[schema(schema_with = password_schema)]
    password: SecretString,
    // browser_sessions: begin
    /// How the session is to be held: `cookie` is for browsers, where this service has it switched on.
    #[serde(default)]
    transport: Transport,
    // browser_sessions: end
}

/// A form of RFC 6749: sections 4.3.2 and 6.
#[derive(Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "it describes the form; the handler reads it pair by pair, as the RFC asks"
)]
#[serde(tag = "grant_type", rename_all = "snake_case")]
enum TokenForm {
    /// Section 4.3.2.
    Password {
        /// The e-mail address.
        #[schema(min_length = 1)]
        username: String,
        #[schema(format = Password, min_length = 1)]
        password: String,
    },
    /// Section 6.
    RefreshToken {
        #[schema(min_length = 1)]
        refresh_token: String,
    },
}

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    post("/auth/token", "Sign in", public())
        .rate_limited(auth.limits().per_source_by_handler())
        .with_schema::<SignIn>()
        .with_schema::<TokenForm>()
        .with_schema::<TokenErrorView>()
        .body_with(json_or_form(), body_doc())
        .responds::<TokensView>(StatusCode::OK)
        .responds_with(
            StatusCode::BAD_REQUEST,
            TokenErrorView::doc(
                "`invalid_grant`, `unsupported_grant_type` or `invalid_request`, for the form",
            ),
        )
        .problems(&[&INVALID_CREDENTIALS, &EMAIL_UNVERIFIED])
        // browser_sessions: begin
        .with_schema::<CookieSessionView>()
        .responds::<SignedInView>(StatusCode::OK)
        .problems(&[&CROSS_SITE_REQUEST])
        // browser_sessions: end
        .extract(client_info())
        .extract(auth.limits().attempt())
        // browser_sessions: begin
        .extract(incoming())
        // browser_sessions: end
        .with(auth.clone())
        .handler(handle)
}

fn json_or_form() -> BoxedFilter<((MediaType, Bytes),)> {
    raw_body(&[MediaType::Json, MediaType::Form])
        .map(|media_type, body| (media_type, body))
        .boxed()
}

fn body_doc() -> RequestBody {
    let json = Content::new(Some(reference::<SignIn>()));
    let form = Content::new(Some(reference::<TokenForm>()));
    RequestBodyBuilder::new()
        .content("application/json", json)
        .content("application/x-www-form-urlencoded", form)
        .required(Some(Required::True))
        .build()
}

async fn handle(
    (media_type, body): (MediaType, Bytes),
    client: ClientInfo,
    attempt: SourceAttempt,
    // browser_sessions: begin
    browser: Incoming,
    // browser_sessions: end
    auth: Auth,
) -> Result<Response, Problem> {
    match media_type {
        MediaType::Json => {
            attempt.count().await.map_err(Error::from)?;
            let request: SignIn = parse_json(&body)?;
            let mut errors = ValidationErrors::new();
            let Some(email) = errors.check("/email", Email::parse(&request.email)) else {
                return Err(errors.into());
            };
            // browser_sessions: begin
            if request.transport == Transport::Cookie {
                return sign_in_by_cookie(&auth, &email, request.password, client, &browser).await;
            }
            // browser_sessions: end
            let pair = sign_in(&auth, &email, request.password, client).await?;
            Ok(json(StatusCode::OK, &TokensView::from(pair)))
        }
        MediaType::Form => {
            let request = GrantRequest::parse(&body);
            // A refresh token counts when it is refused, anything else as it comes.
            if !matches!(request, Ok(GrantRequest::RefreshToken(_))) {
                attempt.count().await.map_err(Error::from)?;
            }
            match request {
                Ok(request) => form_response(request.answer(&auth, client, &attempt).await),
                Err(error) => Ok(json(StatusCode::BAD_REQUEST, &error)),
            }
        }
    }
}

/// Opens a session for a client that knows the password.
async fn sign_in(
    auth: &Auth,
    email: &Email,
    password: SecretString,
    client: ClientInfo,
) -> Result<TokenPair, Error> {
    let (user, transaction) = begin_sign_in(auth, email, password, &client).await?;
    auth.open_session(transaction, &user, client).await
}

/// Begins the transaction that opens a session for a client that knows the password.
async fn begin_sign_in(
    auth: &Auth,
    email: &Email,
    password: SecretString,
    client: &ClientInfo,
) -> Result<(User, WriteTransaction), Error> {
    let claimed = auth.look_up(email, client).await?;
    auth.count_attempt(Attempt::SignIn, claimed.limit_key)
        .await?;
    let refused = match auth.verify_credentials(claimed, password).await? {
        Err(refused) => refused,
        Ok(verified) => match auth.begin_sign_in(&verified, client.clone()).await? {
            Some((user, transaction)) => {
                if let Some(admit) = &auth.flows().admit {
                    let admitted = admit(&transaction, &user).await;
                    auth.note_refusal(Attempt::SignIn, Some(user.id), None, admitted)?;
                }
                return Ok((user, transaction));
            }
            None => CredentialsRefused::Changed(verified.user.id),
        },
    };
    auth.events().sign_in_refused(refused);
    Err(Error::InvalidCredentials)
}

/// What a form asks for (RFC 6749, sections 4.3.2 and 6).
enum GrantRequest {
    Password {
        username: String,
        password: SecretString,
    },
    RefreshToken(SecretString),
}

impl GrantRequest {
    /// Parameters that this service does not know are ignored; a repeated one is an error (section 3.2).
    fn parse(body: &[u8]) -> Result<Self, TokenErrorView> {
        let invalid = TokenErrorView::invalid_request;
        let take = |name: &str| parameter(body, name);
        let grant_type = take("grant_type")?.ok_or_else(|| invalid("grant_type is missing"))?;
        let (username, password) = (take("username")?, take("password")?);
        let refresh_token = take("refresh_token")?;
        match grant_type.as_str() {
            "password" => match (username, password) {
                (Some(username), Some(password)) => Ok(Self::Password {
                    username,
                    password: password.into(),
                }),
                _ => Err(invalid("username and password are required")),
            },
            "refresh_token" => refresh_token
                .map(|token| Self::RefreshToken(token.into()))
                .ok_or_else(|| invalid("refresh_token is missing")),
            _ => Err(TokenErrorView {
                error: "unsupported_grant_type",
                error_description: "use password or refresh_token",
            }),
        }
    }

    async fn answer(
        self,
        auth: &Auth,
        client: ClientInfo,
        attempt: &SourceAttempt,
    ) -> Result<TokenPair, Error> {
        match self {
            Self::Password { username, password } => {
                let email = Email::parse(&username).map_err(|_| Error::InvalidCredentials)?;
                sign_in(auth, &email, password, client).await
            }
            Self::RefreshToken(token) => refresh(auth, token.expose_secret(), attempt).await,
        }
    }
}

/// A form's failures have the form's own shape; failures of ours do not.
fn form_response(outcome: Result<TokenPair, Error>) -> Result<Response, Problem> {
    match outcome {
        Ok(pair) => Ok(json(StatusCode::OK, &TokensView::from(pair))),
        Err(Error::InvalidCredentials | Error::InvalidRefreshToken) => {
            let error = TokenErrorView {
                error: "invalid_grant",
                error_description: "the credentials are not valid",
            };
            Ok(json(StatusCode::BAD_REQUEST, &error))
        }
        Err(Error::EmailUnverified) => {
            let error = TokenErrorView {
                error: "invalid_grant",
                error_description: "the e-mail address is not verified",
            };
            Ok(json(StatusCode::BAD_REQUEST, &error))
        }
        Err(error) => Err(error.into()),
    }
}

// browser_sessions: begin
use std::borrow::Cow;

use chassis_http::ValidationError;
use serde::Serialize;

use super::UserView;
use crate::features::identity::{
    Transport,
    browser_sessions::with_cookie,
    guard::{Incoming, incoming},
    problems::CROSS_SITE_REQUEST,
};

/// A session that a cookie holds.
#[derive(Serialize, ToSchema)]
#[schema(as = CookieSession)]
struct CookieSessionView {
    /// Seconds until it ends, unless it is used.
    expires_in: i64,
    user: UserView,
}

/// What either way of holding a session answers.
#[derive(Serialize, ToSchema)]
#[schema(as = SignedIn)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the answer")]
enum SignedInView {
    Tokens(TokensView),
    Cookie(CookieSessionView),
}

#[derive(Debug)]
struct CookiesOff;

impl ValidationError for CookiesOff {
    fn code(&self) -> &'static str {
        "not_available"
    }

    fn detail(&self) -> Cow<'static, str> {
        "sessions by cookie are switched off here: COOKIE_SESSIONS".into()
    }
}

/// The same for a browser, which gets a cookie and no token.
async fn sign_in_by_cookie(
    auth: &Auth,
    email: &Email,
    password: SecretString,
    client: ClientInfo,
    request: &Incoming,
) -> Result<Response, Problem> {
    if auth.flows().browsers.is_none() {
        let mut errors = ValidationErrors::new();
        errors.check("/transport", Err::<(), _>(CookiesOff));
        return Err(errors.into());
    }
    auth.check_sign_in(request)?;
    let (user, transaction) = begin_sign_in(auth, email, password, &client).await?;
    let opened = auth.open_cookie_session(transaction, &user, client, request);
    let (session, cookie) = opened.await?;
    let view = CookieSessionView {
        expires_in: (session.expires_at - session.created_at).whole_seconds(),
        user: UserView::from(user),
    };
    Ok(with_cookie(json(StatusCode::OK, &view), cookie))
}
// browser_sessions: end
