//! Rate limits: classes of endpoints, quotas, and the limit per client network.
//!
//! An endpoint belongs to one [`RateLimitClass`]:
//!
//! - [`RateLimitClass::DEFAULT`], unless it says otherwise: the router takes a token from the bucket of the
//!   client's network ([`NetworkRateLimit`]) before it does anything else with the request.
//! - A class of the service's own, with a [`RateLimiter`]: a filter that runs in the endpoint before the request
//!   is read. It counts wherever it likes, a shared table for example, and rejects with
//!   [`RateLimited::into_problem_with_status`] or `Problem::from`.
//! - [`RateLimitClass::EXEMPT`]: never refused.

mod buckets;
mod network;
mod quota;

use std::fmt;

use prometheus::{IntCounterVec, Registry, opts};
use warp::filters::BoxedFilter;

pub use self::{
    buckets::Buckets,
    network::{ClientNetwork, NetworkRateLimit},
    quota::{Quota, RateLimitStatus, RateLimited, TakeResult},
};
use crate::registration::register;

/// The class of an endpoint's rate limit, as it is listed and documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimitClass(&'static str);

impl RateLimitClass {
    /// Endpoints that state no class: limited by the router, per client network.
    pub const DEFAULT: Self = Self("api");

    /// Endpoints that are never refused: probes, metrics and documentation.
    pub const EXEMPT: Self = Self("exempt");

    /// A class of the service's own.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for RateLimitClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// A filter that rejects requests of a class beyond its limit.
///
/// Like a guard, it is made by the feature that knows how to count.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    pub(super) class: RateLimitClass,
    pub(super) filter: BoxedFilter<()>,
}

impl RateLimiter {
    /// A limiter for endpoints of this class.
    #[must_use]
    pub fn new(class: RateLimitClass, filter: BoxedFilter<()>) -> Self {
        Self { class, filter }
    }
}

/// Counts refused requests (`rate_limited_total`, by quota); clones share the counters.
#[derive(Debug, Clone)]
pub struct RateLimitMetrics(IntCounterVec);

impl RateLimitMetrics {
    /// Registers the counter.
    ///
    /// # Panics
    ///
    /// When the registry has a metric of this name already.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let family = opts!(
            "rate_limited_total",
            "Requests refused because too many came."
        );
        Self(register(registry, IntCounterVec::new(family, &["class"])))
    }

    /// Counts a refusal.
    pub fn refused(&self, quota: &Quota) {
        self.0.with_label_values(&[quota.name]).inc();
    }
}
