//! Quotas: the arithmetic of a token bucket, and what clients are told about it.
//!
//! A bucket holds up to `burst` tokens, and one token comes back per interval. It is kept by the generic cell
//! rate algorithm: instead of counting tokens, a bucket remembers the time at which it will be full, and taking
//! a token moves that time by one interval. So a bucket is a single number, and a full bucket need not be
//! stored at all.
//!
//! The functions here know neither where that number is kept nor what time it is: [`Buckets`](super::Buckets)
//! keep it in memory, and a service that shares buckets between replicas keeps it in a table and asks
//! [`Quota::status`] and [`Quota::exceeded`] for the answer.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::{Problem, TOO_MANY_REQUESTS};

/// The fields of draft-ietf-httpapi-ratelimit-headers.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATUS: HeaderName = HeaderName::from_static("ratelimit");

/// How many requests are admitted at once, and how many in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Its name in headers and metrics.
    pub name: &'static str,
    burst: u32,
    interval: Duration,
}

/// The outcome of taking a token, or of looking whether there is one.
pub type TakeResult = Result<RateLimitStatus, RateLimited>;

/// What is left in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitStatus {
    quota: Quota,
    remaining: u32,
    /// How long until the bucket is full.
    full_in: Duration,
}

/// No token is left in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests in the class {}", .quota.name)]
pub struct RateLimited {
    /// The quota of the bucket.
    pub quota: Quota,
    /// How long until there is a token.
    pub retry_after: Duration,
}

impl Quota {
    /// A quota of `burst` requests at once and `per_minute` in the long run; 0 is taken for 1.
    #[must_use]
    pub fn new(name: &'static str, per_minute: u32, burst: u32) -> Self {
        Self {
            name,
            burst: burst.max(1),
            interval: Duration::from_mins(1) / per_minute.max(1),
        }
    }

    /// A quota of `burst` requests at once and one each `interval` in the long run; a `burst` of 0 is taken for 1.
    #[must_use]
    pub const fn every(name: &'static str, interval: Duration, burst: u32) -> Self {
        Self {
            name,
            burst: if burst == 0 { 1 } else { burst },
            interval,
        }
    }

    /// How long until one token comes back.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// How long until an empty bucket is full.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.interval * self.burst
    }

    /// The status of a bucket that is full in `full_in`.
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

    /// The refusal by a bucket that is full in `full_in` and holds no token.
    #[must_use]
    pub fn exceeded(&self, full_in: Duration) -> RateLimited {
        let with_one_token = self.window().saturating_sub(self.interval);
        // The clock that said so may have been set back since.
        let full_in = if full_in > self.window() * 2 {
            self.window()
        } else {
            full_in
        };
        RateLimited {
            quota: *self,
            retry_after: full_in.saturating_sub(with_one_token),
        }
    }

    /// What taking a token from a bucket that is full in `full_in` would find: the status before it, or the refusal.
    ///
    /// After a clock was set back a bucket can look emptier than empty. It is taken for empty, and for full where more than
    /// another window would pass until it is: a bucket's owner does not wait for a clock.
    pub fn peek(&self, full_in: Duration) -> TakeResult {
        let held = self.held(full_in);
        if held + self.interval > self.window() {
            return Err(self.exceeded(full_in));
        }
        Ok(self.status(held))
    }

    /// Takes a token from a bucket that is full in `full_in`, which is moved only if there is a token.
    pub(super) fn take(&self, full_in: &mut Duration) -> TakeResult {
        self.peek(*full_in)?;
        *full_in = self.held(*full_in) + self.interval;
        Ok(self.status(*full_in))
    }

    /// How long until the bucket is full, of which its own clock says `full_in`.
    fn held(&self, full_in: Duration) -> Duration {
        if full_in > self.window() * 2 {
            return Duration::ZERO;
        }
        full_in.min(self.window())
    }
}

impl RateLimitStatus {
    /// How long until the bucket is full.
    pub(super) fn full_in(&self) -> Duration {
        self.full_in
    }

    /// Adds the `RateLimit` headers.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        add_headers(headers, &self.quota, self.remaining, self.full_in);
    }
}

/// A 429 without `RateLimit` headers, which would tell how many requests others made.
impl From<RateLimited> for Problem {
    fn from(limited: RateLimited) -> Self {
        let detail = "too many requests; wait as long as Retry-After says";
        Problem::new(&TOO_MANY_REQUESTS, detail).retry_after(whole_seconds(limited.retry_after))
    }
}

impl RateLimited {
    /// How long until the bucket is full.
    pub(super) fn full_in(&self) -> Duration {
        let with_one_token = self.quota.window().saturating_sub(self.quota.interval);
        with_one_token + self.retry_after
    }

    /// A 429 with `RateLimit` headers: for a bucket that only this client takes tokens from.
    #[must_use]
    pub fn into_problem_with_status(self) -> Problem {
        let mut headers = HeaderMap::new();
        add_headers(&mut headers, &self.quota, 0, self.retry_after);
        headers
            .iter()
            .fold(Problem::from(self), |problem, (name, value)| {
                problem.header(name.clone(), value.clone())
            })
    }
}

fn add_headers(headers: &mut HeaderMap, quota: &Quota, remaining: u32, until: Duration) {
    let (name, window) = (quota.name, whole_seconds(quota.window()));
    let policy = format!("\"{name}\";q={};w={window}", quota.burst);
    let status = format!("\"{name}\";r={remaining};t={}", whole_seconds(until));
    for (field, text) in [(POLICY, policy), (STATUS, status)] {
        let value = HeaderValue::from_str(&text).expect("a name and numbers are ASCII");
        headers.insert(field, value);
    }
}

/// Rounded up, and at least 1: a client that waits that long is not early.
fn whole_seconds(duration: Duration) -> u64 {
    let begun = u64::from(duration.subsec_nanos() > 0);
    (duration.as_secs() + begun).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_its_policy_and_what_is_left() {
        let quota = Quota::new("auth", 30, 10);
        let mut headers = HeaderMap::new();

        quota.status(quota.interval()).add_to(&mut headers);

        assert_eq!(headers["ratelimit-policy"], "\"auth\";q=10;w=20");
        assert_eq!(headers["ratelimit"], "\"auth\";r=9;t=2");
    }
}
