//! Token buckets in the memory of one process, one for each key.
//!
//! Why not the crate `governor`, which keeps keyed buckets by the same algorithm: it bounds the rate of each
//! key but not the number of keys. Its store grows with every new address until something calls
//! `retain_recent`, so the memory that a flood of addresses takes depends on how fast that task runs. Here the
//! bound is part of taking a token: there are never more than [`SHARDS`] × [`MAX_PER_SHARD`] buckets. Besides,
//! the time is an argument, so that tests move it without a clock type of this crate, and the answer includes
//! when the bucket is full, which the `RateLimit` header states and governor does not report.
//!
//! The map is split into shards, each behind a lock of its own that is held for one look-up, so that requests
//! seldom wait for each other. When a shard has no space for a new key, the buckets that are full again are
//! removed, which changes nothing for anyone. If that frees nothing, the quarter that is nearest to full is removed:
//! its clients get back the few tokens they had used up, which is the price for memory that a flood cannot exhaust.
//! An empty bucket stays. Whoever wants one forgotten has to empty three quarters of a shard further than it before
//! it fills by itself, which takes [`SHARDS`] × [`MAX_PER_SHARD`] × ¾ requests for each token, because nobody outside
//! knows which key is in which shard.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::{BuildHasher, Hash},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::quota::{Quota, TakeResult};

/// How many locks the buckets are spread over.
const SHARDS: usize = 16;

/// How many buckets there may be behind one lock: some 10 MB behind all of them.
const MAX_PER_SHARD: usize = 8192;

/// The buckets of one process, all of the same quota. Their number is bounded.
pub struct Buckets<K> {
    quota: Quota,
    hasher: RandomState,
    shards: [Mutex<HashMap<K, SystemTime>>; SHARDS],
}

impl<K: Hash + Eq> Buckets<K> {
    /// Buckets of this quota, all of them full.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self {
            quota,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Takes a token from the bucket of this key at the time `now`.
    pub fn take(&self, key: K, now: SystemTime) -> TakeResult {
        let mut shard = self.shard(&key);
        let full_at = shard.get(&key).copied().unwrap_or(now);
        let mut full_in = full_at.duration_since(now).unwrap_or_default();
        let status = self.quota.take(&mut full_in)?;
        if shard.len() >= MAX_PER_SHARD && !shard.contains_key(&key) {
            make_space(&mut shard, now, self.quota.window() * 2);
        }
        shard.insert(key, now + full_in);
        Ok(status)
    }

    /// Looks at the bucket of this key at the time `now`, and takes nothing: what the next [`Buckets::take`] would find.
    ///
    /// For what is counted only when it turns out to have been wrong.
    pub fn peek(&self, key: &K, now: SystemTime) -> TakeResult {
        let full_at = self.shard(key).get(key).copied().unwrap_or(now);
        let full_in = full_at.duration_since(now).unwrap_or_default();
        self.quota.peek(full_in)
    }

    /// Takes note of what became of taking a token from the same client's bucket elsewhere, in a table that processes
    /// share for example: the bucket here is no fuller than that one. So a flood that all processes together have
    /// refused is refused here, without another look there.
    pub fn observe(&self, key: K, elsewhere: &TakeResult, now: SystemTime) {
        let full_in = match elsewhere {
            Ok(status) => status.full_in(),
            Err(limited) => limited.full_in(),
        };
        let mut shard = self.shard(&key);
        if let Some(full_at) = shard.get_mut(&key) {
            *full_at = (*full_at).max(now + full_in);
        }
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, HashMap<K, SystemTime>> {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        // Poisoning is ignored: each change leaves the map consistent.
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the buckets that are full again, or the quarter that will be full first if there are none. One that would be full
/// later than `latest` from now is full: a clock was set back.
fn make_space<K: Hash + Eq>(
    buckets: &mut HashMap<K, SystemTime>,
    now: SystemTime,
    latest: Duration,
) {
    buckets.retain(|_, full_at| *full_at > now && *full_at <= now + latest);
    if buckets.len() < MAX_PER_SHARD {
        return;
    }
    let quarter = MAX_PER_SHARD / 4;
    let mut all: Vec<SystemTime> = buckets.values().copied().collect();
    let (earlier, limit, _) = all.select_nth_unstable(quarter);
    let limit = *limit;
    // Of those that will be full at the same time as the last of the quarter, only as many as belong to it.
    let mut ties = quarter - earlier.iter().filter(|full_at| **full_at < limit).count();
    buckets.retain(|_, full_at| {
        if *full_at == limit && ties > 0 {
            ties -= 1;
            return false;
        }
        *full_at >= limit
    });
}

impl<K> fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Buckets").field(&self.quota).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(per_minute: u32, burst: u32) -> Buckets<u32> {
        Buckets::new(Quota::new("test", per_minute, burst))
    }

    /// So many milliseconds after the tests begin.
    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_bucket_holds_its_burst_and_no_more() {
        let buckets = buckets(60, 3);

        let taken: Vec<_> = (0..3).map(|_| buckets.take(1, at(0)).unwrap()).collect();

        let quota = Quota::new("test", 60, 3);
        let left = [1, 2, 3].map(|tokens| quota.status(quota.interval() * tokens));
        assert_eq!(taken, left);
        let refused = buckets.take(1, at(0)).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(1));
    }

    #[test]
    fn a_look_takes_nothing_and_finds_what_the_next_attempt_will() {
        let (buckets, quota) = (buckets(60, 2), Quota::new("test", 60, 2));

        for _ in 0..5 {
            assert_eq!(buckets.peek(&1, at(0)), Ok(quota.status(Duration::ZERO)));
        }
        buckets.take(1, at(0)).unwrap();
        buckets.take(1, at(0)).unwrap();

        assert_eq!(buckets.peek(&1, at(0)), buckets.take(1, at(0)));
        assert!(buckets.peek(&1, at(0)).is_err() && buckets.peek(&2, at(0)).is_ok());
        assert!(buckets.peek(&1, at(1000)).is_ok());
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let buckets = buckets(60, 1);
        buckets.take(1, at(0)).unwrap();

        assert!(buckets.take(2, at(0)).is_ok());
        assert!(buckets.take(1, at(0)).is_err());
    }

    #[test]
    fn tokens_come_back_one_by_one_and_not_while_refusals_go_on() {
        let buckets = buckets(60, 2);
        buckets.take(1, at(0)).unwrap();
        buckets.take(1, at(0)).unwrap();
        assert!(buckets.take(1, at(999)).is_err());

        assert!(buckets.take(1, at(1000)).is_ok());
        assert!(buckets.take(1, at(1000)).is_err());
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_burst() {
        let (buckets, late) = (buckets(60, 2), at(3_600_000));

        assert!(buckets.take(1, late).is_ok() && buckets.take(1, late).is_ok());
        assert!(buckets.take(1, late).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_costs_no_more_than_one_window() {
        let buckets = buckets(60, 2);
        buckets.take(1, at(3_600_000)).unwrap();
        buckets.take(1, at(3_600_000)).unwrap();

        // By less than a window: it has to be waited for.
        let refused = buckets.take(1, at(3_598_500)).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_millis(2500));
        assert!(buckets.take(1, at(3_601_000)).is_ok());

        // By more: it is full, and fills by the clock of now.
        assert!(buckets.take(1, at(0)).is_ok() && buckets.take(1, at(0)).is_ok());
        assert!(buckets.take(1, at(0)).is_err());
        assert!(buckets.take(1, at(1000)).is_ok());
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let buckets = buckets(60, 1);

        for key in 0..400_000 {
            buckets.take(key, at(0)).unwrap();
        }

        let shards = buckets.shards.iter();
        let kept: usize = shards.map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * MAX_PER_SHARD, "{kept}");
    }

    #[test]
    fn a_flood_of_keys_does_not_refill_an_empty_bucket() {
        let buckets = buckets(60, 3);
        let victims: Vec<u32> = (1_000_000..1_000_100).collect();
        for victim in &victims {
            while buckets.take(*victim, at(0)).is_ok() {}
        }

        for key in 0..400_000 {
            buckets.take(key, at(0)).unwrap();
        }

        let empty = |victim: &&u32| buckets.take(**victim, at(0)).is_err();
        assert_eq!(victims.iter().filter(empty).count(), victims.len());
    }

    #[test]
    fn a_bucket_is_no_fuller_than_the_one_it_stands_before() {
        let (buckets, quota) = (buckets(60, 3), Quota::new("test", 60, 3));
        buckets.take(1, at(0)).unwrap();
        buckets.take(2, at(0)).unwrap();

        buckets.observe(1, &Ok(quota.status(Duration::from_secs(2))), at(0));
        buckets.observe(2, &Err(quota.exceeded(Duration::from_secs(3))), at(0));
        buckets.observe(2, &Ok(quota.status(Duration::from_secs(1))), at(0));

        assert!(buckets.take(1, at(0)).is_ok() && buckets.take(1, at(0)).is_err());
        assert!(buckets.take(2, at(999)).is_err() && buckets.take(2, at(1000)).is_ok());
    }
}
