//! The endpoints of signing in.

use bytes::Bytes;
use http::{Method, StatusCode};
use utoipa::openapi::{
    Content, Required, request_body::RequestBodyBuilder, response::ResponseBuilder,
};
use warp::{Filter, filters::BoxedFilter};

use super::{
    UserView, own_handlers as handlers,
    own_payloads::{
        ChangeEmail, ChangePassword, RefreshSession, RegisterUser, SessionListView, SignIn,
        TokenErrorView, TokenForm, TokensView,
    },
};
use crate::{
    features::identity::{
        Auth, SessionId,
        guard::signed_in,
        problems::{EMAIL_TAKEN, INVALID_CREDENTIALS, INVALID_TOKEN, WRONG_PASSWORD},
    },
    web::{
        Endpoint, Feature, MediaType, anyone, client, endpoint, holder, openapi::reference,
        raw_body, with,
    },
};

/// Every endpoint of this room.
#[must_use]
pub fn endpoints(auth: &Auth) -> Feature {
    Feature {
        name: "auth",
        description: "Sign up, sign in, and look after one's own account",
        endpoints: vec![
            register(auth.clone()),
            token(auth.clone()),
            refresh(auth.clone()),
            logout(auth.clone()),
            logout_all(auth.clone()),
            me(auth),
            change_email(auth.clone()),
            change_password(auth.clone()),
            sessions(auth.clone()),
            end_session(auth.clone()),
        ],
    }
}

/// `POST /auth/register`: a new account, with the least role.
fn register(auth: Auth) -> Endpoint {
    endpoint(
        Method::POST,
        "/auth/register",
        "Create an account",
        anyone(),
    )
    .throttled(auth.limits().per_source())
    .body::<RegisterUser>()
    .replies::<UserView>(StatusCode::CREATED)
    .fails(&[&EMAIL_TAKEN])
    .handled_by(|request| request.and(with(auth)).then(handlers::register))
}

/// `POST /auth/token`: a session for a password, by JSON or by the form of OAuth 2.0.
fn token(auth: Auth) -> Endpoint {
    let json = Content::new(Some(reference::<SignIn>()));
    let form = Content::new(Some(reference::<TokenForm>()));
    let body = RequestBodyBuilder::new()
        .content("application/json", json)
        .content("application/x-www-form-urlencoded", form)
        .required(Some(Required::True))
        .build();
    let form_failed = ResponseBuilder::new()
        .description("`invalid_grant`, `unsupported_grant_type` or `invalid_request`, for the form")
        .content(
            "application/json",
            Content::new(Some(reference::<TokenErrorView>())),
        )
        .build();
    endpoint(Method::POST, "/auth/token", "Sign in", anyone())
        .throttled(auth.limits().per_source())
        .with_schema::<SignIn>()
        .with_schema::<TokenForm>()
        .with_schema::<TokenErrorView>()
        .body_by(json_or_form(), body)
        .replies::<TokensView>(StatusCode::OK)
        .replies_by(StatusCode::BAD_REQUEST, form_failed)
        .fails(&[&INVALID_CREDENTIALS])
        .handled_by(|request| {
            request
                .and(client())
                .and(with(auth))
                .then(|(media_type, body), client, auth| {
                    handlers::token(media_type, body, client, auth)
                })
        })
}

fn json_or_form() -> BoxedFilter<((MediaType, Bytes),)> {
    raw_body(&[MediaType::Json, MediaType::Form])
        .map(|media_type, body| (media_type, body))
        .boxed()
}

/// `POST /auth/refresh`: the next pair of tokens.
fn refresh(auth: Auth) -> Endpoint {
    endpoint(
        Method::POST,
        "/auth/refresh",
        "Exchange a refresh token",
        holder(),
    )
    .throttled(auth.limits().per_source())
    .body::<RefreshSession>()
    .replies::<TokensView>(StatusCode::OK)
    .fails(&[&INVALID_TOKEN])
    .handled_by(|request| request.and(with(auth)).then(handlers::refresh))
}

/// `POST /auth/logout`: ends this session.
fn logout(auth: Auth) -> Endpoint {
    endpoint(Method::POST, "/auth/logout", "Sign out", signed_in(&auth))
        .replies_empty(StatusCode::NO_CONTENT)
        .handled_by(|request| request.and(with(auth)).then(handlers::logout))
}

/// `POST /auth/logout-all`: ends all of one's sessions.
fn logout_all(auth: Auth) -> Endpoint {
    endpoint(
        Method::POST,
        "/auth/logout-all",
        "Sign out everywhere",
        signed_in(&auth),
    )
    .replies_empty(StatusCode::NO_CONTENT)
    .handled_by(|request| request.and(with(auth)).then(handlers::logout_all))
}

/// `GET /auth/me`: who one is.
fn me(auth: &Auth) -> Endpoint {
    endpoint(
        Method::GET,
        "/auth/me",
        "Show one's own account",
        signed_in(auth),
    )
    .replies::<UserView>(StatusCode::OK)
    .handled_by(|request| request.map(handlers::me))
}

/// `PATCH /auth/me`: another address.
fn change_email(auth: Auth) -> Endpoint {
    endpoint(
        Method::PATCH,
        "/auth/me",
        "Change one's e-mail address",
        signed_in(&auth),
    )
    .body::<ChangeEmail>()
    .replies::<UserView>(StatusCode::OK)
    .fails(&[&EMAIL_TAKEN, &WRONG_PASSWORD])
    .handled_by(|request| {
        request
            .and(client())
            .and(with(auth))
            .then(handlers::change_email)
    })
}

/// `POST /auth/password`: another password; the other sessions end.
fn change_password(auth: Auth) -> Endpoint {
    endpoint(
        Method::POST,
        "/auth/password",
        "Change one's password",
        signed_in(&auth),
    )
    .body::<ChangePassword>()
    .replies_empty(StatusCode::NO_CONTENT)
    .fails(&[&WRONG_PASSWORD])
    .handled_by(|request| {
        request
            .and(client())
            .and(with(auth))
            .then(handlers::change_password)
    })
}

/// `GET /auth/sessions`: where one is signed in.
fn sessions(auth: Auth) -> Endpoint {
    endpoint(
        Method::GET,
        "/auth/sessions",
        "List one's own sessions",
        signed_in(&auth),
    )
    .replies::<SessionListView>(StatusCode::OK)
    .handled_by(|request| request.and(with(auth)).then(handlers::sessions))
}

/// `DELETE /auth/sessions/{id}`: ends one of them.
fn end_session(auth: Auth) -> Endpoint {
    endpoint(
        Method::DELETE,
        "/auth/sessions/{id}",
        "End one of one's own sessions",
        signed_in(&auth),
    )
    .path_value::<SessionId>("The session's id")
    .replies_empty(StatusCode::NO_CONTENT)
    .handled_by(|request| request.and(with(auth)).then(handlers::end_session))
}
