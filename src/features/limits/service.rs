//! The rules about how often one may try.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use warp::{Filter, Rejection};

use super::{
    domain::{LimitKey, OnFailure},
    error::Error,
    repository,
    settings::{LimitSettings, Quotas},
};
use crate::{
    clock::Clock,
    database::{Database, DatabaseError},
    telemetry,
    web::{
        ApiLimit, Buckets, Problem, Quota, Rate, RateMetrics, RequestContext, Source, Standing,
        Taken, Throttle, context,
    },
};

/// How long counting may take. Whoever waits longer waits for a database that is out.
const PATIENCE: Duration = Duration::from_millis(500);

/// Counts attempts; clones share everything.
#[derive(Clone)]
pub struct Limits(Option<Arc<Parts>>);

struct Parts {
    quotas: Quotas,
    sources: Buckets<Source>,
    database: Database,
    on_failure: OnFailure,
    metrics: RateMetrics,
    clock: Clock,
    /// Whether the last attempt could be counted, so that an outage is logged once.
    counting: AtomicBool,
}

impl Limits {
    /// Limits over this database, or none at all.
    #[must_use]
    pub fn new(
        settings: &LimitSettings,
        database: Database,
        metrics: RateMetrics,
        clock: Clock,
    ) -> Self {
        Self(settings.quotas.map(|quotas| {
            Arc::new(Parts {
                quotas,
                sources: Buckets::new(quotas.auth, clock.clone()),
                database,
                on_failure: settings.on_failure,
                metrics,
                clock,
                counting: AtomicBool::new(true),
            })
        }))
    }

    /// The limit on everything but sign-ins, for the request layer.
    #[must_use]
    pub fn api(&self) -> Option<ApiLimit> {
        let parts = self.0.as_ref()?;
        let clock = parts.clock.clone();
        Some(ApiLimit::new(
            parts.quotas.api,
            clock,
            parts.metrics.clone(),
        ))
    }

    /// Puts an endpoint into the class `auth`: its source is asked about before anything is read.
    #[must_use]
    pub fn per_source(&self) -> Throttle {
        let limits = self.clone();
        let filter = context().and_then(move |context: Arc<RequestContext>| {
            let limits = limits.clone();
            async move { limits.admit(&context).await }
        });
        Throttle::new(Rate::Auth, filter.untuple_one().boxed())
    }

    async fn admit(&self, context: &RequestContext) -> Result<(), Rejection> {
        let standing = self.take_source(context.client_ip).await;
        if let Some(standing) = standing.map_err(Problem::from)? {
            context.standing.get_or_init(|| standing);
        }
        Ok(())
    }

    /// Counts an attempt of class `auth` against where it comes from.
    ///
    /// A request that came by a socket file, with no proxy to say for whom,
    /// has no source that anything could be held against.
    pub async fn take_source(&self, ip: Option<IpAddr>) -> Result<Option<Standing>, Error> {
        let (Some(parts), Some(ip)) = (&self.0, ip) else {
            return Ok(None);
        };
        let (quota, source) = (&parts.quotas.auth, Source::of(ip));
        let here = parts.count(parts.sources.take(source));
        let here = here.map_err(Error::Source)?;
        let everywhere = parts.take(quota, LimitKey::source(source)).await?;
        let standing = everywhere.transpose().map_err(Error::Source)?;
        Ok(Some(standing.unwrap_or(here)))
    }

    /// Counts an attempt against whom it is about.
    pub async fn take(&self, key: LimitKey) -> Result<(), Error> {
        let Some(parts) = &self.0 else { return Ok(()) };
        let taken = parts.take(&parts.quotas.account, key).await?;
        taken.transpose().map_err(Error::Account)?;
        Ok(())
    }
}

impl Parts {
    /// Takes a token that all replicas share. `None` when it could not be counted and goes on all the same.
    async fn take(&self, quota: &Quota, key: LimitKey) -> Result<Option<Taken>, Error> {
        let taken = tokio::time::timeout(PATIENCE, async {
            let connection = self.database.connection().await?;
            repository::take(&connection, key.as_bytes(), quota).await
        });
        let late = DatabaseError::Timeout {
            query: "rate_limits_take",
        };
        match (taken.await.unwrap_or(Err(late)), self.on_failure) {
            (Ok(taken), _) => {
                self.counting.store(true, Ordering::Relaxed);
                Ok(Some(self.count(taken)))
            }
            (Err(error), OnFailure::Allow) => {
                if self.counting.swap(false, Ordering::Relaxed) {
                    let error = telemetry::chain(&error);
                    tracing::warn!(error, "attempts_go_uncounted");
                }
                Ok(None)
            }
            (Err(error), OnFailure::Deny) => Err(Error::Uncounted(error)),
        }
    }

    fn count(&self, taken: Taken) -> Taken {
        taken.inspect_err(|refusal| self.metrics.refused(&refusal.quota))
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Limits")
    }
}
