//! Counting attempts: in memory first, then in the table that all replicas share.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chassis_http::{
    Buckets, ClientNetwork, NetworkRateLimit, Quota, RateLimitMetrics, RateLimitStatus, TakeResult,
};
use chassis_postgres::{Database, DatabaseError};

use super::{
    error::Error,
    key::LimitKey,
    settings::{LimitSettings, OnFailure, Quotas},
    tables::rate_limits,
};
use crate::shared::clock::Clock;

/// How long counting in the table may take; after that the database counts as out of reach.
const DATABASE_TIMEOUT: Duration = Duration::from_millis(500);

/// Counts attempts; clones share everything.
#[derive(Clone)]
pub struct Limits(Option<Arc<Parts>>);

struct Parts {
    quotas: Quotas,
    sources: Buckets<ClientNetwork>,
    database: Database,
    on_failure: OnFailure,
    metrics: RateLimitMetrics,
    clock: Clock,
    /// Whether the last attempt was counted in the table, so that an outage is logged once.
    counting: AtomicBool,
}

impl Limits {
    /// Limits that are shared through this database; none with `RATE_LIMIT=off`.
    #[must_use]
    pub fn new(
        settings: &LimitSettings,
        database: Database,
        metrics: RateLimitMetrics,
        clock: Clock,
    ) -> Self {
        Self(settings.quotas.map(|quotas| {
            Arc::new(Parts {
                quotas,
                sources: Buckets::new(quotas.auth),
                database,
                on_failure: settings.on_failure,
                metrics,
                clock,
                counting: AtomicBool::new(true),
            })
        }))
    }

    /// The limit on all requests outside the class `auth`, for the router.
    #[must_use]
    pub fn api(&self) -> Option<NetworkRateLimit> {
        let parts = self.0.as_ref()?;
        let clock = parts.clock.clone();
        Some(NetworkRateLimit::new(
            parts.quotas.api,
            parts.metrics.clone(),
            move || clock.now().into(),
        ))
    }

    /// Counts an attempt of the class `auth` against the client's network.
    ///
    /// A request over a Unix socket without a trusted proxy's header has no address, and is not
    /// counted.
    pub async fn take_source(&self, ip: Option<IpAddr>) -> Result<Option<RateLimitStatus>, Error> {
        let (Some(parts), Some(ip)) = (&self.0, ip) else {
            return Ok(None);
        };
        let (quota, source) = (&parts.quotas.auth, ClientNetwork::of(ip));
        let here = parts.count(parts.sources.take(source, parts.clock.now().into()));
        let here = here.map_err(Error::Source)?;
        let everywhere = parts
            .take(quota, LimitKey::new("source", source.address()))
            .await?;
        let status = everywhere.transpose().map_err(Error::Source)?;
        Ok(Some(status.unwrap_or(here)))
    }

    /// Looks whether the client's network has attempts of the class `auth` left, and counts nothing.
    pub(super) async fn peek_source(&self, ip: Option<IpAddr>) -> Result<(), Error> {
        self.peek_source_here(ip)?;
        let (Some(parts), Some(ip)) = (&self.0, ip) else {
            return Ok(());
        };
        let key = LimitKey::new("source", ClientNetwork::of(ip).address());
        let looked = rate_limits::peek(parts.database.read_pool(), key, &parts.quotas.auth);
        let looked = parts.in_table("rate_limits_peek", looked).await?;
        looked.transpose().map_err(Error::Source)?;
        Ok(())
    }

    /// The same in the memory of this process only.
    pub(super) fn peek_source_here(&self, ip: Option<IpAddr>) -> Result<(), Error> {
        let (Some(parts), Some(ip)) = (&self.0, ip) else {
            return Ok(());
        };
        let (source, now) = (ClientNetwork::of(ip), parts.clock.now().into());
        let here = parts.count(parts.sources.peek(&source, now));
        here.map_err(Error::Source)?;
        Ok(())
    }

    /// Counts an attempt against an account, or whatever else the key stands for.
    pub async fn take(&self, key: LimitKey) -> Result<(), Error> {
        let Some(parts) = &self.0 else { return Ok(()) };
        let taken = parts.take(&parts.quotas.account, key).await?;
        taken.transpose().map_err(Error::Account)?;
        Ok(())
    }
}

impl Parts {
    /// Takes a token from a bucket that all replicas share. `None` when the attempt could not be counted and is allowed.
    async fn take(&self, quota: &Quota, key: LimitKey) -> Result<Option<TakeResult>, Error> {
        self.in_table("rate_limits_take", async {
            let connection = self.database.connection().await?;
            rate_limits::take(&connection, key, quota).await
        })
        .await
    }

    /// Asks the table. `None` when it cannot be asked and the attempt is allowed.
    async fn in_table(
        &self,
        query: &'static str,
        asked: impl Future<Output = Result<TakeResult, DatabaseError>>,
    ) -> Result<Option<TakeResult>, Error> {
        let asked = tokio::time::timeout(DATABASE_TIMEOUT, asked);
        let late = DatabaseError::Timeout { query };
        match (asked.await.unwrap_or(Err(late)), self.on_failure) {
            (Ok(found), _) => {
                self.counting.store(true, Ordering::Relaxed);
                Ok(Some(self.count(found)))
            }
            (Err(error), OnFailure::Allow) => {
                if self.counting.swap(false, Ordering::Relaxed) {
                    let error = chassis_telemetry::chain(&error);
                    tracing::warn!(error, "attempts_go_uncounted");
                }
                Ok(None)
            }
            (Err(error), OnFailure::Deny) => Err(Error::Uncounted(error)),
        }
    }

    fn count(&self, taken: TakeResult) -> TakeResult {
        taken.inspect_err(|refusal| self.metrics.refused(&refusal.quota))
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Limits")
    }
}
