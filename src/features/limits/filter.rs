//! The limits as a part of endpoints: the filter of the class `auth`, and the problems of refused attempts.

use std::sync::Arc;

use chassis_http::{Problem, RateLimitClass, RateLimiter, RequestContext, context};
use warp::{Filter, Rejection};

use super::{error::Error, service::Limits};

/// The class of endpoints that check passwords and tokens: few attempts, counted across replicas.
const AUTH: RateLimitClass = RateLimitClass::new("auth");

impl Limits {
    /// Puts an endpoint into the class `auth`: each request is counted against the client's network
    /// before the body is read.
    #[must_use]
    pub fn per_source(&self) -> RateLimiter {
        let limits = self.clone();
        let filter = context().and_then(move |context: Arc<RequestContext>| {
            let limits = limits.clone();
            async move { admit(&limits, &context).await }
        });
        RateLimiter::new(AUTH, filter.untuple_one().boxed())
    }
}

async fn admit(limits: &Limits, context: &RequestContext) -> Result<(), Rejection> {
    let status = limits.take_source(context.client_ip).await;
    if let Some(status) = status.map_err(Problem::from)? {
        context.rate_limit_status.get_or_init(|| status);
    }
    Ok(())
}

/// A client is told the state of its own network's bucket, but not of an account's: that would tell
/// how often others have tried to sign in to it.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Source(refusal) => refusal.into_problem_with_status(),
            Error::Account(refusal) => refusal.into(),
            Error::Uncounted(_) => Problem::unavailable(error),
        }
    }
}
