//! The connections there are, and which of them goes when there are too many.

use std::{
    collections::{HashMap, VecDeque},
    future::{Future, poll_fn},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{sync::Notify, time::Instant};

/// How many of the oldest idle connections are looked up at once, so that a flood does not look each time.
const LOOKED_UP: usize = 64;

/// What a connection is told to do, each more urgent than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    /// Go on.
    Serve,
    /// The service stops: finish what is in flight.
    Finish,
    /// Somebody else needs the room: finish, and quickly.
    MakeRoom,
    /// Go now.
    Abort,
}

/// All connections of a listener; clones share them.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    most: usize,
    /// What all times are measured from.
    epoch: Instant,
    open: Mutex<Open>,
    /// Somebody waits for room.
    wanted: AtomicBool,
    /// Somebody left.
    freed: Notify,
}

struct Open {
    next_id: u64,
    entries: HashMap<u64, Arc<Entry>>,
    /// The oldest idle ones at the last look, each with the moment it became idle.
    oldest: VecDeque<(Arc<Entry>, u64)>,
    /// What everybody is told, newcomers too.
    order: Order,
}

struct Entry {
    id: u64,
    in_flight: AtomicUsize,
    /// Nanoseconds after the epoch.
    idle_since: AtomicU64,
    /// Whether its client takes no more of what is being sent, for now.
    blocked: AtomicBool,
    /// Whether it ever carried a request.
    greeted: AtomicBool,
    order: AtomicU8,
    told: AtomicWaker,
    connections: Connections,
}

impl Entry {
    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) == 0 && !self.blocked.load(Ordering::SeqCst)
    }

    /// Gives an order, unless it has a more urgent one.
    fn tell(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        self.told.wake();
    }

    fn order(&self) -> Order {
        let given = self.order.load(Ordering::Acquire);
        let all = [Order::Finish, Order::MakeRoom, Order::Abort];
        let given = all.into_iter().find(|order| *order as u8 == given);
        given.unwrap_or(Order::Serve)
    }
}

/// A place among the connections, given up when dropped.
pub(super) struct Place(Arc<Entry>);

/// A request in flight on a connection, until dropped.
pub(super) struct InFlight(Arc<Entry>);

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            epoch: Instant::now(),
            open: Mutex::new(Open {
                next_id: 0,
                entries: HashMap::new(),
                oldest: VecDeque::new(),
                order: Order::Serve,
            }),
            wanted: AtomicBool::new(false),
            freed: Notify::new(),
        }))
    }

    /// Makes room for a connection: by dropping the oldest idle one, or else by waiting for any to end.
    ///
    /// Only one may wait at a time: whoever accepts.
    pub(super) async fn admit(&self) -> Place {
        loop {
            if let Some(place) = self.try_admit() {
                self.0.wanted.store(false, Ordering::SeqCst);
                return place;
            }
            // Whoever leaves after this says so; whoever left before it is seen at the second look.
            let freed = self.0.freed.notified();
            if self.0.wanted.swap(true, Ordering::SeqCst) {
                freed.await;
            }
        }
    }

    /// Tells all connections, and those to come.
    pub(super) fn tell(&self, order: Order) {
        let mut open = self.open();
        open.order = open.order.max(order);
        for entry in open.entries.values() {
            entry.tell(order);
        }
    }

    fn try_admit(&self) -> Option<Place> {
        let mut open = self.open();
        if open.entries.len() >= self.0.most {
            let victim = open.oldest_idle()?;
            open.entries.remove(&victim.id);
            victim.tell(Order::MakeRoom);
        }
        open.next_id += 1;
        let entry = Arc::new(Entry {
            id: open.next_id,
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(self.now()),
            blocked: AtomicBool::new(false),
            greeted: AtomicBool::new(false),
            order: AtomicU8::new(open.order as u8),
            told: AtomicWaker::new(),
            connections: self.clone(),
        });
        open.entries.insert(entry.id, Arc::clone(&entry));
        Some(Place(entry))
    }

    /// Nanoseconds after the epoch: the order of idleness.
    fn now(&self) -> u64 {
        u64::try_from(self.0.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Somebody left, or could be asked to.
    fn free(&self) {
        if self.0.wanted.load(Ordering::SeqCst) {
            self.0.freed.notify_one();
        }
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
    /// Resolves when the order is another than the one followed so far.
    ///
    /// It is polled whenever the connection is, so it costs a few instructions and takes no lock.
    pub(super) fn ordered(&self, followed: Order) -> impl Future<Output = Order> {
        poll_fn(move |cx| {
            self.0.told.register(cx.waker());
            match self.0.order() {
                same if same == followed => Poll::Pending,
                other => Poll::Ready(other),
            }
        })
    }

    /// Whether it ever carried a request.
    pub(super) fn is_silent(&self) -> bool {
        !self.0.greeted.load(Ordering::Relaxed)
    }

    /// How long it has had nothing to do; `None` while a request is in flight.
    pub(super) fn idle(&self) -> Option<Duration> {
        let since = self
            .0
            .is_idle()
            .then(|| self.0.idle_since.load(Ordering::Relaxed))?;
        Some(Duration::from_nanos(
            self.0.connections.now().saturating_sub(since),
        ))
    }

    /// What its requests announce themselves by.
    pub(super) fn requests(&self) -> Requests {
        Requests(Arc::clone(&self.0))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let connections = &self.0.connections;
        connections.open().entries.remove(&self.0.id);
        // It would keep the memory of its task for as long as somebody keeps the entry.
        drop(self.0.told.take());
        connections.free();
    }
}

/// Announces the requests of a connection.
#[derive(Clone)]
pub(super) struct Requests(Arc<Entry>);

impl Requests {
    pub(super) fn begin(&self) -> InFlight {
        self.0.greeted.store(true, Ordering::Relaxed);
        self.0.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(&self.0))
    }

    /// Notes whether the client takes what is being sent: an answer that is stuck on its way is not done.
    pub(super) fn set_blocked(&self, blocked: bool) {
        if self.0.blocked.load(Ordering::Relaxed) == blocked {
            return;
        }
        self.0.blocked.store(blocked, Ordering::SeqCst);
        if !blocked {
            self.0.connections.free();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let connections = &self.0.connections;
        self.0
            .idle_since
            .store(connections.now(), Ordering::Relaxed);
        if self.0.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Whoever waits for room can have this one's.
            connections.free();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Wake, Waker},
    };

    use futures_util::FutureExt;

    use super::*;

    fn is_evicted(place: &Place) -> bool {
        place.0.order() == Order::MakeRoom
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

    #[tokio::test]
    async fn an_order_wakes_who_waits_for_it() {
        let connections = Connections::new(1);
        let place = connections.admit().await;

        let (order, ()) = tokio::join!(place.ordered(Order::Serve), async {
            connections.tell(Order::Finish);
        });

        assert_eq!(order, Order::Finish);
        assert!(place.ordered(Order::Finish).now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_has_left_is_not_kept_to_be_woken() {
        struct Task;
        impl Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let place = Connections::new(1).admit().await;
        let (requests, task) = (place.requests(), Arc::new(Task));
        let waker = Waker::from(Arc::clone(&task));
        let polled = pin!(place.ordered(Order::Serve)).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 2);

        drop(place);

        assert_eq!(Arc::strong_count(&task), 1);
        drop(requests);
    }

    #[tokio::test]
    async fn an_order_reaches_newcomers_and_is_not_replaced_by_a_milder_one() {
        let connections = Connections::new(2);
        let early = connections.admit().await;

        connections.tell(Order::Abort);
        connections.tell(Order::Finish);
        let late = connections.admit().await;

        for place in [early, late] {
            assert_eq!(place.ordered(Order::Serve).await, Order::Abort);
        }
    }
}
