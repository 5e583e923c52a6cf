//! Requests about sessions, turned into the service's terms and back.

use bytes::Bytes;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use warp::reply::Response;

use super::{
    UserView,
    own_payloads::{
        ChangeEmail, ChangePassword, RefreshSession, RegisterUser, SessionListView, SignIn,
        TokenErrorView, TokensView,
    },
};
use crate::{
    features::identity::{Auth, Email, Error, Grant, Password, SessionId, SignedIn},
    web::{Client, Fields, MediaType, Problem, created, json, no_content, parse_json},
};

pub(super) async fn register(payload: RegisterUser, auth: Auth) -> Result<Response, Problem> {
    let mut fields = Fields::new();
    let email = fields.check("/email", Email::parse(&payload.email));
    let policy = auth.users().policy();
    let password = email.as_ref().and_then(|email| {
        fields.check(
            "/password",
            Password::parse(&payload.password, email, policy),
        )
    });
    let (Some(email), Some(password)) = (email, password) else {
        return Err(fields.into());
    };
    let user = auth.register(email, password).await?;
    let location = format!("/users/{}", user.id);
    Ok(created(&location, &UserView::from(user)))
}

pub(super) async fn token(
    media_type: MediaType,
    body: Bytes,
    client: Client,
    auth: Auth,
) -> Result<Response, Problem> {
    match media_type {
        MediaType::Json => {
            let payload: SignIn = parse_json(&body)?;
            let mut fields = Fields::new();
            let Some(email) = fields.check("/email", Email::parse(&payload.email)) else {
                return Err(fields.into());
            };
            let grant = auth.sign_in(&email, payload.password, client).await?;
            Ok(json(StatusCode::OK, &TokensView::from(grant)))
        }
        MediaType::Form => match GrantRequest::parse(&body) {
            Ok(request) => form_reply(request.answer(&auth, client).await),
            Err(error) => Ok(json(StatusCode::BAD_REQUEST, &error)),
        },
    }
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
        let invalid = |error_description| TokenErrorView {
            error: "invalid_request",
            error_description,
        };
        let take = |name: &str| {
            let mut found = form_urlencoded::parse(body).filter(|(key, _)| key == name);
            let value = found.next().map(|(_, value)| value.into_owned());
            if found.next().is_some() {
                return Err(invalid("a parameter is repeated"));
            }
            Ok(value.filter(|value| !value.is_empty()))
        };
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

    async fn answer(self, auth: &Auth, client: Client) -> Result<Grant, Error> {
        match self {
            Self::Password { username, password } => {
                let email = Email::parse(&username).map_err(|_| Error::InvalidCredentials)?;
                auth.sign_in(&email, password, client).await
            }
            Self::RefreshToken(token) => auth.refresh(token.expose_secret()).await,
        }
    }
}

/// A form's failures have the form's own shape; failures of ours do not.
fn form_reply(outcome: Result<Grant, Error>) -> Result<Response, Problem> {
    match outcome {
        Ok(grant) => Ok(json(StatusCode::OK, &TokensView::from(grant))),
        Err(Error::InvalidCredentials | Error::InvalidRefreshToken) => {
            let error = TokenErrorView {
                error: "invalid_grant",
                error_description: "the credentials are not valid",
            };
            Ok(json(StatusCode::BAD_REQUEST, &error))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn refresh(payload: RefreshSession, auth: Auth) -> Result<Response, Problem> {
    let grant = auth.refresh(payload.refresh_token.expose_secret()).await?;
    Ok(json(StatusCode::OK, &TokensView::from(grant)))
}

pub(super) async fn logout(caller: SignedIn, auth: Auth) -> Result<Response, Problem> {
    auth.sign_out(&caller).await?;
    Ok(no_content())
}

pub(super) async fn logout_all(caller: SignedIn, auth: Auth) -> Result<Response, Problem> {
    auth.sign_out_everywhere(&caller).await?;
    Ok(no_content())
}

pub(super) fn me(caller: SignedIn) -> Response {
    json(StatusCode::OK, &UserView::from(caller.user))
}

pub(super) async fn change_email(
    caller: SignedIn,
    payload: ChangeEmail,
    client: Client,
    auth: Auth,
) -> Result<Response, Problem> {
    let mut fields = Fields::new();
    let Some(email) = fields.check("/email", Email::parse(&payload.email)) else {
        return Err(fields.into());
    };
    let user = auth
        .change_email(&caller, &email, payload.current_password, &client)
        .await?;
    Ok(json(StatusCode::OK, &UserView::from(user)))
}

pub(super) async fn change_password(
    caller: SignedIn,
    payload: ChangePassword,
    client: Client,
    auth: Auth,
) -> Result<Response, Problem> {
    let mut fields = Fields::new();
    let policy = auth.users().policy();
    let new = Password::parse(&payload.new_password, &caller.user.email, policy);
    let Some(new) = fields.check("/new_password", new) else {
        return Err(fields.into());
    };
    auth.change_password(&caller, payload.current_password, new, &client)
        .await?;
    Ok(no_content())
}

pub(super) async fn sessions(caller: SignedIn, auth: Auth) -> Result<Response, Problem> {
    let sessions = auth.sessions(&caller).await?;
    let view = SessionListView::new(sessions, caller.session_id);
    Ok(json(StatusCode::OK, &view))
}

pub(super) async fn end_session(
    caller: SignedIn,
    id: SessionId,
    auth: Auth,
) -> Result<Response, Problem> {
    auth.end_session(&caller, id).await?;
    Ok(no_content())
}
