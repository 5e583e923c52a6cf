//! Who may call an endpoint.

use std::fmt;

use warp::{Filter, filters::BoxedFilter};

use super::problem::ProblemType;

/// Who may call an endpoint, as it is listed and documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nobody is asked who they are.
    Anyone,
    /// Whoever holds the thing that the request carries in its body.
    Holder,
    /// Any account with a live session.
    SignedIn,
    /// Accounts of this role and the ones above it.
    AtLeast(&'static str),
}

impl Access {
    /// Whether a bearer token is asked for.
    #[must_use]
    pub fn needs_token(self) -> bool {
        matches!(self, Self::SignedIn | Self::AtLeast(_))
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Anyone => "anyone",
            Self::Holder => "holder",
            Self::SignedIn => "signed in",
            Self::AtLeast(role) => role,
        })
    }
}

/// A filter that lets the right callers through, with the words for it.
///
/// An endpoint cannot be stated without one. Apart from [`anyone`] and
/// [`holder`], guards are made by the room that knows who is calling.
#[derive(Debug, Clone)]
pub struct Guard<F> {
    pub(super) access: Access,
    pub(super) problems: &'static [&'static ProblemType],
    pub(super) filter: F,
}

impl<F> Guard<F> {
    /// A guard that admits whom the filter does not reject, and rejects with these problems.
    pub fn new(access: Access, problems: &'static [&'static ProblemType], filter: F) -> Self {
        Self {
            access,
            problems,
            filter,
        }
    }
}

/// Lets everybody through.
#[must_use]
pub fn anyone() -> Guard<BoxedFilter<()>> {
    Guard::new(Access::Anyone, &[], warp::any().boxed())
}

/// Lets everybody through to a handler that looks for itself at what they hold.
#[must_use]
pub fn holder() -> Guard<BoxedFilter<()>> {
    Guard::new(Access::Holder, &[], warp::any().boxed())
}
