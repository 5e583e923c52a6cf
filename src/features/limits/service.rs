//! Counting attempts: in memory first, then in the table that all replicas share.
//!
//! # What is never done
//!
//! An attempt that was not counted goes no further: no password is checked by it. Whoever sends enough requests can
//! keep a statement waiting, or every connection of the pool busy, so an attempt that is not counted in time, or gets no
//! connection for it, is answered with a 503 and may come again. To let it pass would hand out guesses for load.
//!
//! Only a server that refuses connections, or is gone, is taken for an outage, because no load brings that about. While
//! it lasts the limit in memory stands in, for each replica by itself, or every attempt is refused: `RATE_LIMIT_ON_FAILURE`
//! decides about this case and no other.
//!
//! # Why memory comes first
//!
//! A process keeps a bucket in memory for each one that it uses in the table. It is no fuller than the one in the table
//! was when it was last seen, so what the table would refuse is mostly refused without asking: a flood costs the
//! database next to nothing. And it has counted already when it has to stand in.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chassis_http::{
    Buckets, ClientNetwork, NetworkRateLimit, Quota, RateLimitMetrics, RateLimitStatus,
    RateLimited, TakeResult,
};
use chassis_postgres::{Database, DatabaseError};

use super::{
    error::Error,
    key::LimitKey,
    settings::{LimitSettings, OnFailure, Quotas},
    tables::rate_limits,
};
use crate::shared::clock::Clock;

/// Counts attempts; clones share everything.
#[derive(Clone)]
pub struct Limits(Option<Arc<Parts>>);

struct Parts {
    quotas: Quotas,
    sources: Class,
    accounts: Class,
    presented: Buckets<LimitKey>,
    database: Database,
    on_failure: OnFailure,
    metrics: RateLimitMetrics,
    clock: Clock,
    /// Whether the last attempt was counted in the table, so that an outage is logged once.
    is_shared: AtomicBool,
}

/// Buckets of one quota: those of this process, before those of the table.
struct Class {
    quota: Quota,
    here: Buckets<LimitKey>,
}

impl Class {
    fn new(quota: Quota) -> Self {
        Self {
            quota,
            here: Buckets::new(quota),
        }
    }
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
                sources: Class::new(quotas.auth),
                accounts: Class::new(quotas.account),
                presented: Buckets::new(quotas.session),
                database,
                on_failure: settings.on_failure,
                metrics,
                clock,
                is_shared: AtomicBool::new(true),
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
        let taken = parts.take(&parts.sources, source(ip)).await?;
        taken.map(Some).map_err(Error::Source)
    }

    /// Looks whether the client's network has attempts of the class `auth` left, and counts nothing.
    pub(super) async fn peek_source(&self, ip: Option<IpAddr>) -> Result<(), Error> {
        self.peek_source_here(ip)?;
        let (Some(parts), Some(ip)) = (&self.0, ip) else {
            return Ok(());
        };
        let looked = parts.peek(&parts.sources, source(ip)).await?;
        looked.map_err(Error::Source)
    }

    /// The same in the memory of this process only.
    pub(super) fn peek_source_here(&self, ip: Option<IpAddr>) -> Result<(), Error> {
        let (Some(parts), Some(ip)) = (&self.0, ip) else {
            return Ok(());
        };
        let here = parts
            .sources
            .here
            .peek(&source(ip), parts.clock.now().into());
        parts.count(here).map(drop).map_err(Error::Source)
    }

    /// How often a session may rotate its refresh token. Its own row keeps the bucket, so that the rotation takes from it.
    #[must_use]
    pub fn rotations(&self) -> Option<&Quota> {
        self.0.as_ref().map(|parts| &parts.quotas.session)
    }

    /// Counts a token that is presented, in the memory of this process only and by the quota of rotations.
    ///
    /// Whatever is decided about the token, and that may be the same thing again and again, nothing asks the database more
    /// often.
    pub fn take_presented(&self, key: LimitKey) -> Result<(), Error> {
        let Some(parts) = &self.0 else { return Ok(()) };
        let taken = parts.presented.take(key, parts.clock.now().into());
        parts.count(taken).map_err(Error::Account)?;
        Ok(())
    }

    /// Counts a refusal by a bucket that is not kept here.
    #[must_use]
    pub fn refuse(&self, refusal: RateLimited) -> Error {
        if let Some(parts) = &self.0 {
            parts.metrics.refused(&refusal.quota);
        }
        Error::Account(refusal)
    }

    /// Counts an attempt against an account, or whatever else the key stands for.
    pub async fn take(&self, key: LimitKey) -> Result<(), Error> {
        let Some(parts) = &self.0 else { return Ok(()) };
        let taken = parts.take(&parts.accounts, key).await?;
        taken.map(drop).map_err(Error::Account)
    }

    /// Counts something that a feature limits by a quota of its own, in the table that all replicas share. Nothing is limited
    /// with `RATE_LIMIT=off`.
    pub async fn take_by(&self, quota: &Quota, key: LimitKey) -> Result<(), Error> {
        let Some(parts) = &self.0 else { return Ok(()) };
        let taken = parts.take_shared(quota, key).await;
        let taken = parts.count(taken.map_err(Error::Uncounted)?);
        taken.map(drop).map_err(Error::Account)
    }
}

/// The key of the network that an address belongs to.
fn source(ip: IpAddr) -> LimitKey {
    LimitKey::new("source", ClientNetwork::of(ip).address())
}

impl Parts {
    /// Takes a token from the bucket of this key, here and in the table.
    async fn take(&self, class: &Class, key: LimitKey) -> Result<TakeResult, Error> {
        let now = self.clock.now().into();
        let here = class.here.take(key, now);
        if here.is_err() {
            return Ok(self.count(here));
        }
        let taken = self.take_shared(&class.quota, key).await;
        self.note_outage(taken.as_ref().err());
        match taken {
            Ok(taken) => {
                class.here.observe(key, &taken, now);
                Ok(self.count(taken))
            }
            Err(DatabaseError::Unreachable(_)) if self.on_failure == OnFailure::Allow => Ok(here),
            Err(error) => Err(Error::Uncounted(error)),
        }
    }

    /// Looks into the bucket of this key in the table, and takes nothing.
    async fn peek(&self, class: &Class, key: LimitKey) -> Result<Result<(), RateLimited>, Error> {
        let found = rate_limits::peek(&self.database.reader(), key, &class.quota).await;
        self.note_outage(found.as_ref().err());
        match found {
            Ok(found) => Ok(self.count(found).map(drop)),
            Err(DatabaseError::Unreachable(_)) if self.on_failure == OnFailure::Allow => Ok(Ok(())),
            Err(error) => Err(Error::Uncounted(error)),
        }
    }

    async fn take_shared(&self, quota: &Quota, key: LimitKey) -> Result<TakeResult, DatabaseError> {
        let connection = self.database.connection().await?;
        rate_limits::take(&connection, key, quota).await
    }

    /// Logs the beginning of an outage. Other failures are logged with the request that they fail.
    fn note_outage(&self, error: Option<&DatabaseError>) {
        let outage = error.filter(|error| matches!(error, DatabaseError::Unreachable(_)));
        let was_shared = self.is_shared.swap(outage.is_none(), Ordering::Relaxed);
        if let Some(error) = outage.filter(|_| was_shared && self.on_failure == OnFailure::Allow) {
            let error = chassis_telemetry::chain(error);
            tracing::warn!(error, "attempts_counted_in_memory_only");
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
