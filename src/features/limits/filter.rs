//! The limits as a part of endpoints: the filter of the class `auth`, and the problems of refused attempts.

use std::sync::Arc;

use warp::{Filter, Rejection};

use super::{error::Error, service::Limits};
use crate::web::{Problem, Rate, RequestContext, Throttle, context};

impl Limits {
    /// Puts an endpoint into the class `auth`: each request is counted against the client's network
    /// before the body is read.
    #[must_use]
    pub fn per_source(&self) -> Throttle {
        let limits = self.clone();
        let filter = context().and_then(move |context: Arc<RequestContext>| {
            let limits = limits.clone();
            async move { admit(&limits, &context).await }
        });
        Throttle::new(Rate::Auth, filter.untuple_one().boxed())
    }
}

async fn admit(limits: &Limits, context: &RequestContext) -> Result<(), Rejection> {
    let standing = limits.take_source(context.client_ip).await;
    if let Some(standing) = standing.map_err(Problem::from)? {
        context.standing.get_or_init(|| standing);
    }
    Ok(())
}

/// A client is told the state of its own network's bucket, but not of an account's: that would tell
/// how often others have tried to sign in to it.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Source(refusal) => refusal.in_the_open(),
            Error::Account(refusal) => refusal.into(),
            Error::Uncounted(_) => Problem::unavailable(error),
        }
    }
}
