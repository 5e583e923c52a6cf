//! The guards: who is calling, and whether the role is enough.
//!
//! An endpoint that reads is given a [`Principal`], and one that writes a [`Caller`]:
//!
//! ```
//! use chassis_http::{Endpoint, get, post};
//! use warp_skeleton::features::identity::{Auth, Caller, Principal, caller, signed_in};
//!
//! async fn show(principal: Principal) -> String {
//!     principal.id().to_string()
//! }
//!
//! async fn change(caller: Caller) -> String {
//!     caller.user_id().to_string()
//! }
//!
//! fn endpoints(auth: &Auth) -> [Endpoint; 2] {
//!     let show = get("/notes", "Show", signed_in(auth)).handler(show);
//!     let change = post("/notes", "Change", caller(auth)).handler(change);
//!     [show, change]
//! }
//! ```
//!
//! Because a `Caller` is the way to a transaction, an endpoint that reads cannot have one. A guard for writing is
//! refused by `get`:
//!
//! ```compile_fail,E0277
//! use chassis_http::{Endpoint, get};
//! use warp_skeleton::features::identity::{Auth, Caller, caller};
//!
//! async fn change(caller: Caller) -> String {
//!     caller.user_id().to_string()
//! }
//!
//! fn endpoint(auth: &Auth) -> Endpoint {
//!     get("/notes", "Change", caller(auth)).handler(change)
//! }
//! ```
//!
//! So is a handler that wants a `Caller` behind a guard for reading:
//!
//! ```compile_fail,E0631
//! use chassis_http::{Endpoint, get};
//! use warp_skeleton::features::identity::{Auth, Caller, signed_in};
//!
//! async fn change(caller: Caller) -> String {
//!     caller.user_id().to_string()
//! }
//!
//! fn endpoint(auth: &Auth) -> Endpoint {
//!     get("/notes", "Change", signed_in(auth)).handler(change)
//! }
//! ```
//!
//! And an endpoint that writes is not given a `Principal`, which may be outdated by then:
//!
//! ```compile_fail,E0277
//! use chassis_http::{Endpoint, post};
//! use warp_skeleton::features::identity::{Auth, Principal, signed_in};
//!
//! async fn show(principal: Principal) -> String {
//!     principal.id().to_string()
//! }
//!
//! fn endpoint(auth: &Auth) -> Endpoint {
//!     post("/notes", "Show", signed_in(auth)).handler(show)
//! }
//! ```

use std::sync::Arc;

use chassis_http::{
    Access, Problem, ProblemType, ReadGuard, RequestContext, WriteGuard, context,
    problem::INVALID_REQUEST, with,
};
use http::{HeaderMap, HeaderValue, header};
use warp::{Filter, Rejection, filters::BoxedFilter};

use super::{
    Auth, Caller, ClientInfo, Principal, Role,
    problems::{
        INSUFFICIENT_ROLE, INVALID_CREDENTIALS, INVALID_TOKEN, REAUTHENTICATION_REQUIRED,
        UNAUTHENTICATED,
    },
    requirement::Requirement,
};

/// What every guard may reject with.
fn problems() -> Vec<&'static ProblemType> {
    vec![
        &INVALID_REQUEST,
        &UNAUTHENTICATED,
        &INVALID_TOKEN,
        // api_keys: begin
        &super::problems::KEY_NOT_ALLOWED,
        // api_keys: end
    ]
}

/// What a guard for writing may reject with, besides.
fn with_problems_of_writing(problems: Vec<&'static ProblemType>) -> Vec<&'static ProblemType> {
    // browser_sessions: begin
    let mut problems = problems;
    problems.push(&super::problems::CROSS_SITE_REQUEST);
    // browser_sessions: end
    problems
}

/// The same with this one.
fn problems_with(further: &'static ProblemType) -> Vec<&'static ProblemType> {
    let mut problems = problems();
    problems.push(further);
    problems
}

/// For reading: admits an active user with a live session.
#[must_use]
pub fn signed_in(auth: &Auth) -> ReadGuard<BoxedFilter<(Principal,)>> {
    let required = Requirement::default();
    ReadGuard::new(Access::SignedIn, problems(), authenticated(auth, required))
}

/// For reading: admits an active user with a live session and at least this role.
#[must_use]
pub fn require(role: Role, auth: &Auth) -> ReadGuard<BoxedFilter<(Principal,)>> {
    let access = Access::AtLeast(role.as_str());
    let problems = problems_with(&INSUFFICIENT_ROLE);
    ReadGuard::new(access, problems, authenticated(auth, at_least(role)))
}

/// For writing: admits an active user with a live session, to be checked again by [`Caller::begin`].
#[must_use]
pub fn caller(auth: &Auth) -> WriteGuard<BoxedFilter<(Caller,)>> {
    let required = Requirement::default();
    let problems = with_problems_of_writing(problems());
    WriteGuard::new(Access::SignedIn, problems, calling(auth, required))
}

/// For writing: admits an active user with a live session and at least this role, all of which
/// [`Caller::begin`] checks again.
#[must_use]
pub fn caller_with(role: Role, auth: &Auth) -> WriteGuard<BoxedFilter<(Caller,)>> {
    let access = Access::AtLeast(role.as_str());
    let problems = with_problems_of_writing(problems_with(&INSUFFICIENT_ROLE));
    WriteGuard::new(access, problems, calling(auth, at_least(role)))
}

/// For writing: admits an active user whose password was given in the session within [`RECENT`](super::RECENT), which
/// [`Caller::begin`] checks again. For what an intruder would do first with a session that is not theirs.
#[must_use]
pub fn recently_authenticated(auth: &Auth) -> WriteGuard<BoxedFilter<(Caller,)>> {
    let required = Requirement {
        recent: true,
        ..Requirement::default()
    };
    let problems = with_problems_of_writing(problems_with(&REAUTHENTICATION_REQUIRED));
    WriteGuard::new(Access::SignedIn, problems, calling(auth, required))
}

fn at_least(role: Role) -> Requirement {
    Requirement {
        role: Some(role),
        ..Requirement::default()
    }
}

/// Who is calling, for an endpoint that writes and where nobody has to be signed in ([`chassis_http::optional`]): `None`
/// without a credential. One that is not valid is refused.
#[must_use]
pub fn maybe_caller(auth: &Auth) -> BoxedFilter<(Option<Caller>,)> {
    incoming()
        .and(with(auth.clone()))
        .and_then(|request: Incoming, auth: Auth| async move {
            let found = find(&auth, &request).await;
            // browser_sessions: begin
            let found = match bearer_token(&request.headers) {
                Ok(None) => found.or_else(without_old_cookie),
                _ => found,
            };
            // browser_sessions: end
            let (required, client) = (Requirement::default(), request.client());
            let caller = found?.map(|principal| Caller::new(principal, required, client, auth));
            Ok::<_, Rejection>(caller)
        })
        .boxed()
}

/// What [`maybe_caller`] may refuse with.
#[must_use]
pub fn maybe_caller_problems() -> Vec<&'static ProblemType> {
    let mut problems = with_problems_of_writing(problems());
    problems.retain(|problem| problem.code != UNAUTHENTICATED.code);
    problems
}

fn authenticated(auth: &Auth, required: Requirement) -> BoxedFilter<(Principal,)> {
    incoming()
        .and(with(auth.clone()))
        .and_then(move |request: Incoming, auth: Auth| async move {
            let principal = authenticate(&auth, &request, required).await;
            principal.map_err(Rejection::from)
        })
        .boxed()
}

fn calling(auth: &Auth, required: Requirement) -> BoxedFilter<(Caller,)> {
    incoming()
        .and(with(auth.clone()))
        .and_then(move |request: Incoming, auth: Auth| async move {
            let required = Requirement {
                // Stated by the endpoint, and not by its guard.
                scope: request.context.scope,
                ..required
            };
            let principal = authenticate(&auth, &request, required).await?;
            let caller = Caller::new(principal, required, request.client(), auth);
            Ok::<_, Rejection>(caller)
        })
        .boxed()
}

/// What of a request tells who is calling.
pub(super) struct Incoming {
    pub(super) context: Arc<RequestContext>,
    pub(super) headers: HeaderMap,
}

impl Incoming {
    fn client(&self) -> ClientInfo {
        ClientInfo::of(&self.context, &self.headers)
    }
}

/// Extracts it.
pub(super) fn incoming() -> BoxedFilter<(Incoming,)> {
    context()
        .and(warp::header::headers_cloned())
        .map(|context, headers| Incoming { context, headers })
        .boxed()
}

async fn authenticate(
    auth: &Auth,
    request: &Incoming,
    required: Requirement,
) -> Result<Principal, Problem> {
    let found = find(auth, request).await?;
    let principal = found.ok_or_else(unauthenticated)?;
    required.check(&principal, auth.now())?;
    Ok(principal)
}

/// Who is calling. `None` when nothing says so.
async fn find(auth: &Auth, request: &Incoming) -> Result<Option<Principal>, Problem> {
    let token = bearer_token(&request.headers)?;
    // api_keys: begin
    if let (Some(keys), Some(token)) = (&auth.flows().keys, token)
        && keys.recognizes(token)
    {
        let principal = keys.authenticate(token, request.context.scope).await?;
        chassis_telemetry::record_user(principal.id());
        return Ok(Some(principal));
    }
    // api_keys: end
    let found = match token {
        Some(token) => Some(auth.authenticate(token).await?),
        // browser_sessions: begin
        None if auth.flows().browsers.is_some() => auth.find_by_cookie(request).await?,
        // browser_sessions: end
        None => None,
    };
    if let Some(principal) = &found {
        chassis_telemetry::record_user(principal.id());
    }
    Ok(found)
}

// browser_sessions: begin
/// A browser sends its cookie until it is told another one, so one whose session has ended is as good as none where nobody
/// has to be signed in.
fn without_old_cookie(problem: Problem) -> Result<Option<Principal>, Problem> {
    if problem.kind().code == INVALID_TOKEN.code {
        return Ok(None);
    }
    Err(problem)
}
// browser_sessions: end

/// The token of the one `Authorization: Bearer` header (RFC 6750, section 2.1). `None` where there is no such header, or one of
/// another scheme, which a proxy may ask for.
fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = sent.next() else {
        return Ok(None);
    };
    if sent.next().is_some() {
        let detail = "there is more than one Authorization header";
        let challenge = HeaderValue::from_static("Bearer realm=\"api\", error=\"invalid_request\"");
        return Err(
            Problem::new(&INVALID_REQUEST, detail).header(header::WWW_AUTHENTICATE, challenge)
        );
    }
    let text = value.to_str().map_err(|_| invalid_token())?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    // What it is made of is looked at when it is verified.
    if token.is_empty() {
        return Err(invalid_token());
    }
    Ok(Some(token))
}

/// Nothing was sent, so nothing is said about what is wrong with it (RFC 6750, section 3.1).
fn unauthenticated() -> Problem {
    Problem::new(
        &UNAUTHENTICATED,
        "send an access token as Authorization: Bearer",
    )
    .header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"api\""),
    )
}

pub(super) fn invalid_token() -> Problem {
    let challenge = HeaderValue::from_static("Bearer realm=\"api\", error=\"invalid_token\"");
    Problem::new(&INVALID_TOKEN, "the token is not valid, or not any more")
        .header(header::WWW_AUTHENTICATE, challenge)
}

pub(super) fn insufficient_role(role: Role) -> Problem {
    let challenge = HeaderValue::from_static("Bearer realm=\"api\", error=\"insufficient_scope\"");
    Problem::new(
        &INSUFFICIENT_ROLE,
        format!("this takes the role {role} or above"),
    )
    .header(header::WWW_AUTHENTICATE, challenge)
}

// api_keys: begin
pub(super) fn key_not_allowed() -> Problem {
    let challenge = HeaderValue::from_static("Bearer realm=\"api\", error=\"insufficient_scope\"");
    Problem::new(
        &super::problems::KEY_NOT_ALLOWED,
        "the key is not good for this address",
    )
    .header(header::WWW_AUTHENTICATE, challenge)
}
// api_keys: end

pub(super) fn invalid_credentials() -> Problem {
    Problem::new(
        &INVALID_CREDENTIALS,
        "no active account has this address and this password",
    )
    .header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"api\""),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn a_token_is_found_where_it_should_be_and_nowhere_else(
            value in prop_oneof![
                any::<Vec<u8>>(),
                "(Bearer|bearer|BEARER|Basic|Bear er)?[ \t]{0,2}[A-Za-z0-9._~+/= -]{0,12}".prop_map(String::into_bytes),
            ],
        ) {
            let Ok(header) = HeaderValue::from_bytes(&value) else {
                return Ok(());
            };
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, header);
            match bearer_token(&headers) {
                Ok(None) => {}
                Ok(Some(token)) => {
                    prop_assert!(!token.is_empty());
                    let (scheme, rest) = value.split_at(7);
                    prop_assert!(scheme.eq_ignore_ascii_case(b"bearer "));
                    prop_assert_eq!(rest, token.as_bytes());
                }
                Err(problem) => prop_assert_eq!(problem.kind().status.as_u16(), 401),
            }
        }

        #[test]
        fn two_headers_are_refused_whatever_they_say(one in "[ -~]{0,12}", two in "[ -~]{0,12}") {
            let mut headers = HeaderMap::new();
            for value in [one, two] {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            let problem = bearer_token(&headers).unwrap_err();
            prop_assert_eq!(problem.kind().code, "invalid_request");
        }
    }
}
