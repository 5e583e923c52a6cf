//! What verified tokens say, so that none is verified again with each request of its client.
//!
//! Whether one of the keys signed a token, and what it says, stays the same: a process does not change its keys. To find out
//! takes as much as all else that the service does for a short read (`loadtest/bench/instructions`). What can change is not
//! kept: a token's times are compared with the clock, and its session is read, for each request.
//!
//! Only a verified token gets in, so that nobody fills the cache, or learns anything from it, without one.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;

/// How many tokens are kept. With [`MAX_LENGTH`] these are 4 MiB at most; usual tokens take half of it.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");

/// The longest token that is kept, in bytes.
const MAX_LENGTH: usize = 1024;

/// What tokens say, the least recently used ones forgotten.
pub(super) struct TokenCache<T>(Mutex<LruCache<Box<str>, T>>);

impl<T: Copy> TokenCache<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }

    /// What a token says: `verify` is asked for a token that is not known, and answers `None` for one that is not valid.
    pub(super) fn get_or_verify(
        &self,
        token: &str,
        verify: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let known = self.lock().get(token).copied();
        known.or_else(|| {
            let verified = verify()?;
            if token.len() <= MAX_LENGTH {
                self.lock().put(token.into(), verified);
            }
            Some(verified)
        })
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Box<str>, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_valid_is_verified_once_and_what_is_not_each_time() {
        let cache = TokenCache::new();
        let never = || unreachable!("it was verified before");

        assert_eq!(cache.get_or_verify("a", || Some(1)), Some(1));
        assert_eq!(cache.get_or_verify("a", never), Some(1));
        assert_eq!(cache.get_or_verify("b", || None), None);
        assert_eq!(cache.get_or_verify("b", || Some(2)), Some(2));
    }

    #[test]
    fn it_is_bounded() {
        let cache = TokenCache::new();
        let long = "x".repeat(MAX_LENGTH + 1);

        cache.get_or_verify(&long, || Some(0));
        assert_eq!(cache.get_or_verify(&long, || Some(1)), Some(1));
        for number in 0..2 * CAPACITY.get() {
            cache.get_or_verify(&number.to_string(), || Some(number));
        }

        assert_eq!(cache.lock().len(), CAPACITY.get());
    }
}
