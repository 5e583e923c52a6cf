//! The limits as a part of endpoints: the filters of the class `auth`, and the problems of refused attempts.

use std::{fmt, sync::Arc};

use chassis_http::{ClientNetwork, Problem, RateLimitClass, RateLimiter, RequestContext, context};
use warp::{Filter, Rejection, filters::BoxedFilter};

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

    /// Puts an endpoint into the class `auth` whose handler counts: nothing is counted before the body is read, but a
    /// network that has used up its attempts in this process is refused then.
    #[must_use]
    pub fn per_source_by_handler(&self) -> RateLimiter {
        let limits = self.clone();
        let filter = context().and_then(move |context: Arc<RequestContext>| {
            let admitted = limits.peek_source_here(context.client_ip);
            let admitted = admitted.map_err(|error| Rejection::from(Problem::from(error)));
            async move { admitted }
        });
        RateLimiter::new(AUTH, filter.untuple_one().boxed())
    }

    /// The attempt that a request is, for a handler that counts it.
    #[must_use]
    pub fn attempt(&self) -> BoxedFilter<(SourceAttempt,)> {
        let limits = self.clone();
        context()
            .map(move |context| SourceAttempt {
                limits: limits.clone(),
                context,
            })
            .boxed()
    }
}

async fn admit(limits: &Limits, context: &RequestContext) -> Result<(), Rejection> {
    let counted = count(limits, context).await;
    Ok(counted.map_err(Problem::from)?)
}

async fn count(limits: &Limits, context: &RequestContext) -> Result<(), Error> {
    if let Some(status) = limits.take_source(context.client_ip).await? {
        context.rate_limit_status.get_or_init(|| status);
    }
    Ok(())
}

/// An attempt of the class `auth` by the network that a request comes from.
#[derive(Clone)]
pub struct SourceAttempt {
    limits: Limits,
    context: Arc<RequestContext>,
}

impl SourceAttempt {
    /// The network that it comes from; `None` over a unix socket.
    #[must_use]
    pub fn network(&self) -> Option<ClientNetwork> {
        self.context.client_ip.map(ClientNetwork::of)
    }

    /// Counts it.
    ///
    /// # Errors
    ///
    /// When the network has no attempts left, or they cannot be counted.
    pub async fn count(&self) -> Result<(), Error> {
        count(&self.limits, &self.context).await
    }

    /// Counts it without a word to the client: for what was found to be wrong, where the answer must not tell that.
    ///
    /// Whether the network had an attempt left is for its next one to find out.
    ///
    /// # Errors
    ///
    /// When it cannot be counted.
    pub async fn count_silently(&self) -> Result<(), Error> {
        match self.limits.take_source(self.context.client_ip).await {
            Ok(_) | Err(Error::Source(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Looks whether the network has attempts left, and counts nothing.
    ///
    /// For what counts only when it turns out to have been wrong, by [`SourceAttempt::count`] or
    /// [`SourceAttempt::count_silently`]: many clients behind one address may present a valid token each.
    ///
    /// # Errors
    ///
    /// When the network has no attempts left, or that cannot be found out.
    pub async fn peek(&self) -> Result<(), Error> {
        self.limits.peek_source(self.context.client_ip).await
    }
}

impl fmt::Debug for SourceAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceAttempt")
    }
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
