//! Guards: the filter that decides who may call an endpoint, and what the handler learns about the caller.
//!
//! The type of a guard says what the endpoint may do with its result. A [`ReadGuard`] yields
//! something to read with and is taken by `get`; a [`WriteGuard`] yields something to write with
//! and is taken by `post`, `put`, `patch` and `delete`. There is no conversion between the two, so
//! an endpoint that changes something cannot be built on a check that was made for reading.
//! [`public`], [`presented_token`] and [`optional`] check nothing themselves and convert into both.

use std::fmt;

use warp::{Filter, filters::BoxedFilter};

use super::problem::ProblemType;

/// Who may call an endpoint, as the `routes` command lists it and the OpenAPI document states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Every client; no credentials are read.
    Anyone,
    /// Every client that sends a valid token in the request body; the handler checks the token.
    Holder,
    /// Every client; what the handler asks of it depends on whether it sends valid credentials.
    Optional,
    /// Every account with a live session.
    SignedIn,
    /// Accounts with this role or a higher one.
    AtLeast(&'static str),
}

impl Access {
    /// Whether the endpoint requires a bearer token in the `Authorization` header.
    #[must_use]
    pub fn needs_token(self) -> bool {
        matches!(self, Self::SignedIn | Self::AtLeast(_))
    }

    /// Whether the endpoint looks at credentials at all.
    #[must_use]
    pub fn takes_token(self) -> bool {
        self == Self::Optional || self.needs_token()
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Anyone => "anyone",
            Self::Holder => "holder",
            Self::Optional => "anyone, or signed in",
            Self::SignedIn => "signed in",
            Self::AtLeast(role) => role,
        })
    }
}

/// A filter that rejects callers without permission, with its description for the documentation.
#[derive(Debug, Clone)]
pub(crate) struct Guard<F> {
    pub(super) access: Access,
    pub(super) problems: Vec<&'static ProblemType>,
    pub(super) filter: F,
}

/// A guard for endpoints that only read. What its filter extracts is the handler's first argument.
///
/// Guards are made by the feature that knows who is calling.
#[derive(Debug, Clone)]
pub struct ReadGuard<F>(Guard<F>);

impl<F> ReadGuard<F> {
    /// A guard that rejects with one of `problems`, or extracts what a handler may read with.
    pub fn new(access: Access, problems: impl Into<Vec<&'static ProblemType>>, filter: F) -> Self {
        Self(Guard {
            access,
            problems: problems.into(),
            filter,
        })
    }
}

/// A guard for endpoints that write. What its filter extracts is the handler's first argument.
///
/// Guards are made by the feature that knows who is calling.
#[derive(Debug, Clone)]
pub struct WriteGuard<F>(Guard<F>);

impl<F> WriteGuard<F> {
    /// A guard that rejects with one of `problems`, or extracts what a handler may write with.
    pub fn new(access: Access, problems: impl Into<Vec<&'static ProblemType>>, filter: F) -> Self {
        Self(Guard {
            access,
            problems: problems.into(),
            filter,
        })
    }
}

/// A guard that admits every request and extracts nothing: see [`public`], [`presented_token`] and [`optional`].
#[derive(Debug, Clone, Copy)]
pub struct PublicGuard(Access);

/// Admits every request. For endpoints that need no caller: registration, sign-in, documentation.
#[must_use]
pub fn public() -> PublicGuard {
    PublicGuard(Access::Anyone)
}

/// Admits every request to a handler that checks a token from the request body itself.
///
/// It checks as little as [`public`] does; only the documented access differs.
#[must_use]
pub fn presented_token() -> PublicGuard {
    PublicGuard(Access::Holder)
}

/// Admits every request to a handler that looks itself at who is calling, if the request says so.
///
/// It checks as little as [`public`] does; only the documented access differs.
#[must_use]
pub fn optional() -> PublicGuard {
    PublicGuard(Access::Optional)
}

impl From<PublicGuard> for ReadGuard<BoxedFilter<()>> {
    fn from(PublicGuard(access): PublicGuard) -> Self {
        Self::new(access, [], warp::any().boxed())
    }
}

impl From<PublicGuard> for WriteGuard<BoxedFilter<()>> {
    fn from(PublicGuard(access): PublicGuard) -> Self {
        Self::new(access, [], warp::any().boxed())
    }
}

impl<F> From<ReadGuard<F>> for Guard<F> {
    fn from(ReadGuard(guard): ReadGuard<F>) -> Self {
        guard
    }
}

impl<F> From<WriteGuard<F>> for Guard<F> {
    fn from(WriteGuard(guard): WriteGuard<F>) -> Self {
        guard
    }
}
