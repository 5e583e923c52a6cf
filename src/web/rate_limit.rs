//! How eagerly requests may come, and the buckets that say so.
//!
//! A [`Quota`] is a bucket of tokens that refills steadily. It is kept by the
//! generic cell rate algorithm: instead of counting tokens, each bucket
//! remembers when it will be full again, and a token moves that moment by one
//! interval. So a bucket is one number, and one that is full again need not be
//! remembered at all.
//!
//! [`Buckets`] keep that number in memory, for this process alone. What has to
//! hold across replicas is kept elsewhere by the same arithmetic.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::{BuildHasher, Hash},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use prometheus::{IntCounterVec, Registry, opts};
use time::OffsetDateTime;
use warp::filters::BoxedFilter;

use super::problem::{Problem, TOO_MANY_REQUESTS};
use crate::{clock::Clock, telemetry::register};

/// The fields of the IETF's draft-ietf-httpapi-ratelimit-headers.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATUS: HeaderName = HeaderName::from_static("ratelimit");

/// How eagerly an endpoint may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitClass {
    /// Guesses at passwords and tokens: few, counted across replicas.
    Auth,
    /// The rest.
    Api,
    /// Never refused: probes, metrics and documentation.
    Exempt,
}

impl fmt::Display for RateLimitClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auth => "auth",
            Self::Api => "api",
            Self::Exempt => "exempt",
        })
    }
}

/// A filter that rejects what comes too eagerly, with the class it stands for.
///
/// Like a guard, it is made by the room that knows how to count.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    pub(super) class: RateLimitClass,
    pub(super) filter: BoxedFilter<()>,
}

impl RateLimiter {
    /// A throttle for endpoints of this class.
    #[must_use]
    pub fn new(class: RateLimitClass, filter: BoxedFilter<()>) -> Self {
        Self { class, filter }
    }
}

/// So many at once, and so many more as time goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What it is called in headers and metrics.
    pub name: &'static str,
    burst: u32,
    interval: Duration,
}

/// What became of a request for a token.
pub type TakeResult = Result<RateLimitStatus, RateLimited>;

/// How a bucket stands after a token was taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitStatus {
    quota: Quota,
    remaining: u32,
    /// Until the bucket is full again.
    full_in: Duration,
}

/// A bucket that has no token left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests in the class {}", .quota.name)]
pub struct RateLimited {
    /// Whose it is.
    pub quota: Quota,
    /// Until there is one again.
    pub retry_after: Duration,
}

impl Quota {
    /// A quota of `burst` at once and `per_minute` in the long run; neither is less than 1.
    #[must_use]
    pub fn new(name: &'static str, per_minute: u32, burst: u32) -> Self {
        Self {
            name,
            burst: burst.max(1),
            interval: Duration::from_mins(1) / per_minute.max(1),
        }
    }

    /// How long one token takes to come back.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// How long an empty bucket takes to fill.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.interval * self.burst
    }

    /// How a bucket stands that is full again in so long, after a token was taken from it.
    #[must_use]
    pub fn status(&self, full_in: Duration) -> RateLimitStatus {
        let left = self.window().saturating_sub(full_in);
        let remaining = left.as_nanos() / self.interval.as_nanos();
        RateLimitStatus {
            quota: *self,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            full_in,
        }
    }

    /// Refuses because a bucket that is full again in so long holds no token.
    #[must_use]
    pub fn refusal(&self, full_in: Duration) -> RateLimited {
        let without = self.window().saturating_sub(self.interval);
        RateLimited {
            quota: *self,
            retry_after: full_in.saturating_sub(without),
        }
    }

    /// Takes a token from a bucket that is full again in so long; `full_in` moves only when there is one.
    ///
    /// A clock that was set back makes buckets look emptier than empty; they are taken for empty.
    fn take(&self, full_in: &mut Duration) -> TakeResult {
        let held = (*full_in).min(self.window());
        if held + self.interval > self.window() {
            return Err(self.refusal(held));
        }
        *full_in = held + self.interval;
        Ok(self.status(*full_in))
    }
}

impl RateLimitStatus {
    /// Tells the client how it stands.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        tell(headers, &self.quota, self.remaining, self.full_in);
    }
}

/// What a client is told when it comes too eagerly.
impl From<RateLimited> for Problem {
    fn from(refusal: RateLimited) -> Self {
        let detail = "too many requests; wait as long as Retry-After says";
        Problem::new(&TOO_MANY_REQUESTS, detail).retry_after(whole_seconds(refusal.retry_after))
    }
}

impl RateLimited {
    /// The problem, with the client's standing in the headers: for a bucket that only its client draws on.
    #[must_use]
    pub fn into_problem_with_status(self) -> Problem {
        let mut headers = HeaderMap::new();
        tell(&mut headers, &self.quota, 0, self.retry_after);
        let told = headers.iter();
        told.fold(Problem::from(self), |problem, (name, value)| {
            problem.header(name.clone(), value.clone())
        })
    }
}

fn tell(headers: &mut HeaderMap, quota: &Quota, remaining: u32, seconds: Duration) {
    let (name, window) = (quota.name, whole_seconds(quota.window()));
    let policy = format!("\"{name}\";q={};w={window}", quota.burst);
    let status = format!("\"{name}\";r={remaining};t={}", whole_seconds(seconds));
    for (field, text) in [(POLICY, policy), (STATUS, status)] {
        let value = HeaderValue::from_str(&text).expect("a name and numbers are ASCII");
        headers.insert(field, value);
    }
}

/// Rounded up, and never 0: whoever waits that long is not too early.
fn whole_seconds(duration: Duration) -> u64 {
    let begun = u64::from(duration.subsec_nanos() > 0);
    (duration.as_secs() + begun).max(1)
}

/// Where requests come from, as far as it can be held against anyone.
///
/// Whoever has one IPv6 address has the other 2⁶⁴ of its network, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// The source that an address belongs to.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        Self(match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        })
    }

    /// The address that stands for it.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0
    }
}

/// How many locks share the buckets, so that requests seldom wait for each other.
const SHARDS: usize = 16;

/// How many buckets there may be behind one lock: some 10 MB in all.
const MOST: usize = 8192;

/// The buckets of one process.
///
/// There are never more than a fixed number. A bucket that is full again is
/// forgotten when room is needed, and nothing is lost by it; if all are in
/// use, some are forgotten all the same: a flood of sources cannot take the
/// memory, and finds the other limits.
pub struct Buckets<K> {
    quota: Quota,
    clock: Clock,
    hasher: RandomState,
    shards: [Mutex<HashMap<K, OffsetDateTime>>; SHARDS],
}

impl<K: Hash + Eq> Buckets<K> {
    /// Full buckets of this quota.
    #[must_use]
    pub fn new(quota: Quota, clock: Clock) -> Self {
        Self {
            quota,
            clock,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Takes a token from the bucket of this key.
    pub fn take(&self, key: K) -> TakeResult {
        let now = self.clock.now();
        let mut shard = self.shard(&key);
        let full_at = shard.get(&key).copied().unwrap_or(now);
        let mut full_in = (full_at - now).try_into().unwrap_or_default();
        let status = self.quota.take(&mut full_in)?;
        if shard.len() >= MOST && !shard.contains_key(&key) {
            make_room(&mut shard, now);
        }
        shard.insert(key, now + full_in);
        Ok(status)
    }

    fn shard(&self, key: &K) -> std::sync::MutexGuard<'_, HashMap<K, OffsetDateTime>> {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        // A poisoned lock is entered all the same: each change leaves the buckets whole.
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the buckets that are full again, or else every second one.
fn make_room<K: Hash + Eq>(buckets: &mut HashMap<K, OffsetDateTime>, now: OffsetDateTime) {
    buckets.retain(|_, full_at| *full_at > now);
    if buckets.len() >= MOST {
        let mut keep = false;
        buckets.retain(|_, _| {
            keep = !keep;
            keep
        });
    }
}

impl<K> fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Buckets").field(&self.quota).finish()
    }
}

/// Counts what was refused; clones share the counters.
#[derive(Debug, Clone)]
pub struct RateLimitMetrics(IntCounterVec);

impl RateLimitMetrics {
    /// Registers the family.
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

/// The limit on everything that no stricter one is about: per source, in memory, per replica.
#[derive(Debug, Clone)]
pub struct NetworkRateLimit {
    buckets: Arc<Buckets<ClientNetwork>>,
    metrics: RateLimitMetrics,
}

impl NetworkRateLimit {
    /// A limit of this quota.
    #[must_use]
    pub fn new(quota: Quota, clock: Clock, metrics: RateLimitMetrics) -> Self {
        Self {
            buckets: Arc::new(Buckets::new(quota, clock)),
            metrics,
        }
    }

    /// Counts a request. One whose source is not known is let through: it came by a socket file.
    pub(super) fn admit(&self, client_ip: Option<IpAddr>) -> Result<Option<RateLimitStatus>, Problem> {
        let Some(ip) = client_ip else { return Ok(None) };
        match self.buckets.take(ClientNetwork::of(ip)) {
            Ok(status) => Ok(Some(status)),
            Err(refusal) => {
                self.metrics.refused(&refusal.quota);
                Err(refusal.into_problem_with_status())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// A clock that stands still, and the hand that moves it, in milliseconds.
    fn still() -> (Clock, Arc<AtomicI64>) {
        let hand = Arc::new(AtomicI64::new(0));
        let moved = Arc::clone(&hand);
        let clock = Clock::from_fn(move || {
            OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(moved.load(Ordering::Relaxed))
        });
        (clock, hand)
    }

    fn buckets(per_minute: u32, burst: u32) -> (Buckets<u32>, Arc<AtomicI64>) {
        let (clock, hand) = still();
        (
            Buckets::new(Quota::new("test", per_minute, burst), clock),
            hand,
        )
    }

    #[test]
    fn a_bucket_holds_its_burst_and_no_more() {
        let (buckets, _) = buckets(60, 3);

        let remaining: Vec<_> = (0..3).map(|_| buckets.take(1).unwrap().remaining).collect();

        assert_eq!(remaining, [2, 1, 0]);
        let refusal = buckets.take(1).unwrap_err();
        assert_eq!(refusal.retry_after, Duration::from_secs(1));
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let (buckets, _) = buckets(60, 1);
        buckets.take(1).unwrap();

        assert!(buckets.take(2).is_ok());
        assert!(buckets.take(1).is_err());
    }

    #[test]
    fn tokens_come_back_one_by_one_and_not_while_refusals_go_on() {
        let (buckets, hand) = buckets(60, 2);
        buckets.take(1).unwrap();
        buckets.take(1).unwrap();
        hand.store(999, Ordering::Relaxed);
        assert!(buckets.take(1).is_err());

        hand.store(1000, Ordering::Relaxed);

        assert!(buckets.take(1).is_ok());
        assert!(buckets.take(1).is_err());
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_burst() {
        let (buckets, hand) = buckets(60, 2);
        hand.store(3_600_000, Ordering::Relaxed);

        assert!(buckets.take(1).is_ok() && buckets.take(1).is_ok());
        assert!(buckets.take(1).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_costs_no_more_than_one_window() {
        let (buckets, hand) = buckets(60, 2);
        hand.store(3_600_000, Ordering::Relaxed);
        buckets.take(1).unwrap();

        hand.store(0, Ordering::Relaxed);

        let refusal = buckets.take(1).unwrap_err();
        assert_eq!(refusal.retry_after, Duration::from_secs(1));
    }

    #[test]
    fn however_many_keys_there_are_the_buckets_stay_few() {
        let (buckets, _) = buckets(60, 1);

        for key in 0..400_000 {
            buckets.take(key).unwrap();
        }

        let kept: usize = buckets
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .sum();
        assert!(kept <= SHARDS * MOST, "{kept}");
    }

    #[test]
    fn a_network_of_64_bits_is_one_source() {
        let of = |ip: &str| ClientNetwork::of(ip.parse().unwrap());

        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn a_client_is_told_its_policy_and_its_standing() {
        let quota = Quota::new("auth", 30, 10);
        let mut headers = HeaderMap::new();

        quota.status(quota.interval()).tell(&mut headers);

        assert_eq!(headers["ratelimit-policy"], "\"auth\";q=10;w=20");
        assert_eq!(headers["ratelimit"], "\"auth\";r=9;t=2");
    }
}
