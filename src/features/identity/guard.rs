//! The guards: who is calling, and whether their role will do.

use http::{HeaderMap, HeaderValue, header};
use warp::{Filter, Rejection, filters::BoxedFilter};

use super::{
    Role, SignedIn,
    problems::{INSUFFICIENT_ROLE, INVALID_CREDENTIALS, INVALID_TOKEN, UNAUTHENTICATED},
    service::Auth,
};
use crate::{
    telemetry,
    web::{Access, Problem, ProblemType, ReadGuard, problem::INVALID_REQUEST, with},
};

static SIGNED_IN: [&ProblemType; 3] = [&INVALID_REQUEST, &UNAUTHENTICATED, &INVALID_TOKEN];
static ROLE: [&ProblemType; 4] = [
    &INVALID_REQUEST,
    &UNAUTHENTICATED,
    &INVALID_TOKEN,
    &INSUFFICIENT_ROLE,
];

/// Admits whoever has a live session, and tells who it is.
#[must_use]
pub fn signed_in(auth: &Auth) -> ReadGuard<BoxedFilter<(SignedIn,)>> {
    ReadGuard::new(Access::SignedIn, &SIGNED_IN, caller(auth))
}

/// Admits whoever has a live session and at least this role.
#[must_use]
pub fn require(role: Role, auth: &Auth) -> ReadGuard<BoxedFilter<(SignedIn,)>> {
    let admitted = caller(auth).and_then(move |caller: SignedIn| async move {
        if caller.user.role >= role {
            return Ok(caller);
        }
        Err(Rejection::from(insufficient(role)))
    });
    ReadGuard::new(Access::AtLeast(role.as_str()), &ROLE, admitted.boxed())
}

fn caller(auth: &Auth) -> BoxedFilter<(SignedIn,)> {
    warp::header::headers_cloned()
        .and(with(auth.clone()))
        .and_then(|headers: HeaderMap, auth: Auth| async move {
            let token = bearer_token(&headers)?;
            let caller = auth.authenticate(token).await.map_err(Problem::from)?;
            telemetry::note_caller(caller.user.id);
            Ok::<_, Rejection>(caller)
        })
        .boxed()
}

/// The token of the one `Authorization: Bearer` header (RFC 6750, section 2.1).
fn bearer_token(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = sent.next() else {
        return Err(unauthenticated());
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
        return Err(unauthenticated());
    }
    // What it is made of is looked at by whoever verifies it.
    if token.is_empty() {
        return Err(invalid_token());
    }
    Ok(token)
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

fn insufficient(role: Role) -> Problem {
    let challenge = HeaderValue::from_static("Bearer realm=\"api\", error=\"insufficient_scope\"");
    Problem::new(
        &INSUFFICIENT_ROLE,
        format!("this takes the role {role} or above"),
    )
    .header(header::WWW_AUTHENTICATE, challenge)
}

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
                Ok(token) => {
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
