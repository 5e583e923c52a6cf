//! The connections there are, and which of them goes when there are too many.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How many of the oldest idle connections are looked up at once, so that a flood does not look each time.
const LOOKED_UP: usize = 64;

/// All connections of a listener; clones share them.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    most: usize,
    /// Counts every change between idle and busy: the order of idleness.
    clock: AtomicU64,
    open: Mutex<Open>,
    /// Somebody left.
    freed: Notify,
}

#[derive(Default)]
struct Open {
    next_id: u64,
    entries: HashMap<u64, Arc<Entry>>,
    /// The oldest idle ones at the last look, each with the moment it became idle.
    oldest: VecDeque<(Arc<Entry>, u64)>,
}

struct Entry {
    id: u64,
    in_flight: AtomicUsize,
    idle_since: AtomicU64,
    /// Whether its client takes no more of what is being sent, for now.
    blocked: AtomicBool,
    /// Whether it ever carried a request.
    greeted: AtomicUsize,
    evicted: CancellationToken,
}

impl Entry {
    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0 && !self.blocked.load(Ordering::Acquire)
    }
}

/// A place among the connections, given up when dropped.
pub(super) struct Place {
    entry: Arc<Entry>,
    connections: Connections,
}

/// A request in flight on a connection, until dropped.
pub(super) struct InFlight {
    entry: Arc<Entry>,
    connections: Connections,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            clock: AtomicU64::new(0),
            open: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    /// Makes room for a connection: by dropping the oldest idle one, or else by waiting for any to end.
    pub(super) async fn admit(&self) -> Place {
        loop {
            let freed = self.0.freed.notified();
            if let Some(place) = self.try_admit() {
                return place;
            }
            freed.await;
        }
    }

    fn try_admit(&self) -> Option<Place> {
        let mut open = self.open();
        if open.entries.len() >= self.0.most {
            let victim = open.oldest_idle()?;
            open.entries.remove(&victim.id);
            victim.evicted.cancel();
        }
        open.next_id += 1;
        let entry = Arc::new(Entry {
            id: open.next_id,
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(self.tick()),
            blocked: AtomicBool::new(false),
            greeted: AtomicUsize::new(0),
            evicted: CancellationToken::new(),
        });
        open.entries.insert(entry.id, Arc::clone(&entry));
        Some(Place {
            entry,
            connections: self.clone(),
        })
    }

    fn tick(&self) -> u64 {
        self.0.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// A poisoned lock is entered all the same: each change leaves the state whole.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn oldest_idle(&mut self) -> Option<Arc<Entry>> {
        if let Some(found) = self.next_of_oldest() {
            return Some(found);
        }
        let idle = self.entries.values().filter(|entry| entry.is_idle());
        let mut idle: Vec<_> = idle
            .map(|entry| (Arc::clone(entry), entry.idle_since.load(Ordering::Relaxed)))
            .collect();
        idle.sort_unstable_by_key(|(_, since)| *since);
        idle.truncate(LOOKED_UP);
        self.oldest = idle.into();
        self.next_of_oldest()
    }

    /// The next of those that have stayed idle since they were looked up.
    fn next_of_oldest(&mut self) -> Option<Arc<Entry>> {
        while let Some((entry, since)) = self.oldest.pop_front() {
            let unchanged = entry.is_idle() && entry.idle_since.load(Ordering::Relaxed) == since;
            if unchanged && self.entries.contains_key(&entry.id) {
                return Some(entry);
            }
        }
        None
    }
}

impl Place {
    /// Resolves when the connection has to go.
    pub(super) async fn evicted(&self) {
        self.entry.evicted.cancelled().await;
    }

    /// Whether it ever carried a request.
    pub(super) fn is_silent(&self) -> bool {
        self.entry.greeted.load(Ordering::Relaxed) == 0
    }

    /// When its last request ended, by the order of all of them; `None` while one is in flight.
    pub(super) fn last_request(&self) -> Option<u64> {
        self.entry
            .is_idle()
            .then(|| self.entry.idle_since.load(Ordering::Relaxed))
    }

    /// What its requests announce themselves by.
    pub(super) fn requests(&self) -> Requests {
        Requests {
            entry: Arc::clone(&self.entry),
            connections: self.connections.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().entries.remove(&self.entry.id);
        self.connections.0.freed.notify_one();
    }
}

/// Announces the requests of a connection.
#[derive(Clone)]
pub(super) struct Requests {
    entry: Arc<Entry>,
    connections: Connections,
}

impl Requests {
    pub(super) fn begin(&self) -> InFlight {
        self.entry.greeted.store(1, Ordering::Relaxed);
        self.entry.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight {
            entry: Arc::clone(&self.entry),
            connections: self.connections.clone(),
        }
    }
}

impl Requests {
    /// Notes whether the client takes what is being sent: an answer that is stuck on its way is not done.
    pub(super) fn set_blocked(&self, blocked: bool) {
        let before = self.entry.blocked.swap(blocked, Ordering::AcqRel);
        if before && !blocked {
            self.connections.0.freed.notify_one();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.entry
            .idle_since
            .store(self.connections.tick(), Ordering::Relaxed);
        if self.entry.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Whoever waits for room can have this one's.
            self.connections.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn is_evicted(place: &Place) -> bool {
        place.entry.evicted.is_cancelled()
    }

    #[tokio::test]
    async fn at_the_cap_the_oldest_idle_connection_goes() {
        let connections = Connections::new(3);
        let busy = connections.admit().await;
        let _request = busy.requests().begin();
        let oldest = connections.admit().await;
        let younger = connections.admit().await;

        let _newcomer = connections.admit().await;

        assert!(is_evicted(&oldest));
        assert!(!is_evicted(&busy) && !is_evicted(&younger));
    }

    #[tokio::test]
    async fn a_connection_that_was_used_again_is_younger() {
        let connections = Connections::new(2);
        let first = connections.admit().await;
        let second = connections.admit().await;
        drop(first.requests().begin());

        let _newcomer = connections.admit().await;

        assert!(is_evicted(&second) && !is_evicted(&first));
    }

    #[tokio::test]
    async fn when_all_are_busy_a_newcomer_waits_for_one_to_finish() {
        let connections = Connections::new(1);
        let busy = connections.admit().await;
        let request = busy.requests().begin();
        let mut newcomer = Box::pin(connections.admit());
        assert!(newcomer.as_mut().now_or_never().is_none());

        drop(request);

        newcomer.await;
        assert!(is_evicted(&busy));
    }
}
