//! The connections of a server: how many there may be, what each is doing, and which is closed when there are too many.
//!
//! # States
//!
//! A connection is always in one of three states, read from the atomics of its [`ConnectionState`]:
//!
//! - **new**: accepted, and no request has arrived yet (`had_request` is false). It may be idle in the
//!   sense below from its first moment on, which is what makes a flood of silent connections harmless.
//! - **idle**: no request is in flight and no bytes wait to be written (`in_flight == 0 && !write_blocked`).
//!   `idle_since` says since when.
//! - **busy**: a request is in flight, or the client does not read what has been written to it. A request
//!   is in flight from the moment hyper hands it over until the last frame of its response body has been
//!   handed to hyper, or the body was dropped. hyper may take a body long before its client reads it, so
//!   the socket reports separately whether a write is blocked.
//!
//! # Commands
//!
//! A connection is driven by one task, which nothing else may touch. Others only leave a
//! [`ConnectionCommand`] in its state and wake the task. Commands only become more urgent: a `fetch_max`
//! keeps a late `FinishAndClose` from replacing an `Abort`. The table also remembers the most urgent
//! command given to all, so that a connection accepted during the shutdown starts with it.
//!
//! # The cap and eviction
//!
//! The table counts connections that were accepted and neither ended nor evicted. An evicted connection
//! stops counting when it is told, not when it is closed, because it may take up to the close grace to
//! write its last bytes: for that long the number of open sockets may exceed the cap.
//!
//! Only [`Connections::admit`] evicts, and only the accept loop calls it. It evicts the connection that
//! has been idle longest, whether new or used; a busy one never. When all are busy, `admit` waits until
//! one becomes idle or ends, and further clients wait in the kernel's queue.
//!
//! A victim is chosen by scanning all connections and keeping the [`EVICTION_BATCH`] oldest, so that under a
//! flood the scan is paid once per batch. A candidate that was used since then is skipped.
//! There is a window in which a request arrives between the check and the command; the connection's task
//! then sees `Evict` with a request in flight, shuts down gracefully, and the request has the close grace.
//!
//! # Locks
//!
//! The mutex around the table is taken when a connection begins and ends and when a command goes to all.
//! It is not taken per request: requests touch atomics of their own connection only, so that connections
//! on different cores do not share cache lines.
//!
//! The wake-up of `admit` uses two variables. Its task sets `admit_waiting` and looks at the table *again*
//! before it sleeps; a connection changes its state first and reads `admit_waiting` afterwards. With
//! sequentially consistent operations one of the two always sees the other, so no wake-up is lost, and
//! while nothing waits a request costs one load of a flag that is never written.

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

/// How many of the longest idle connections one scan of the table finds.
const EVICTION_BATCH: usize = 64;

/// What the task of a connection is told to do. Each is more urgent than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum ConnectionCommand {
    /// Serve requests.
    Serve,
    /// The server shuts down: finish the requests in flight, then close.
    FinishAndClose,
    /// The cap was reached and this connection was idle: close within the close grace.
    Evict,
    /// Close now, whatever is in flight.
    Abort,
}

/// All connections of a server. Clones share them.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Shared>);

struct Shared {
    max_connections: usize,
    /// What all times are measured from.
    epoch: Instant,
    table: Mutex<Table>,
    /// `admit` waits for a connection to end or to become idle.
    admit_waiting: AtomicBool,
    /// Wakes `admit`.
    slot_available: Notify,
}

struct Table {
    next_id: u64,
    open: HashMap<u64, Arc<ConnectionState>>,
    /// The longest idle connections at the last scan, each with its `idle_since` at that time.
    eviction_candidates: VecDeque<(Arc<ConnectionState>, u64)>,
    /// The most urgent command given to all, which new connections start with.
    command: ConnectionCommand,
}

struct ConnectionState {
    id: u64,
    in_flight: AtomicUsize,
    /// Nanoseconds after the epoch.
    idle_since: AtomicU64,
    /// Whether the last write found the socket's buffer full.
    write_blocked: AtomicBool,
    /// Whether a request ever arrived.
    had_request: AtomicBool,
    /// A [`ConnectionCommand`].
    command: AtomicU8,
    /// The task that drives the connection.
    task: AtomicWaker,
    connections: Connections,
}

impl ConnectionState {
    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) == 0 && !self.write_blocked.load(Ordering::SeqCst)
    }

    /// Gives a command, unless a more urgent one was given before.
    fn send(&self, command: ConnectionCommand) {
        self.command.fetch_max(command as u8, Ordering::AcqRel);
        self.task.wake();
    }

    fn command(&self) -> ConnectionCommand {
        let given = self.command.load(Ordering::Acquire);
        [
            ConnectionCommand::FinishAndClose,
            ConnectionCommand::Evict,
            ConnectionCommand::Abort,
        ]
        .into_iter()
        .find(|command| *command as u8 == given)
        .unwrap_or(ConnectionCommand::Serve)
    }
}

/// A counted connection, held by the task that drives it. Dropping it removes the connection from the table.
pub(crate) struct ConnectionHandle(Arc<ConnectionState>);

/// A request in flight on a connection, until dropped.
pub(crate) struct InFlight(Arc<ConnectionState>);

impl Connections {
    /// An empty table for at most this many connections.
    pub(crate) fn new(max_connections: usize) -> Self {
        Self(Arc::new(Shared {
            max_connections,
            epoch: Instant::now(),
            table: Mutex::new(Table {
                next_id: 0,
                open: HashMap::new(),
                eviction_candidates: VecDeque::new(),
                command: ConnectionCommand::Serve,
            }),
            admit_waiting: AtomicBool::new(false),
            slot_available: Notify::new(),
        }))
    }

    /// Adds a connection. At the cap it evicts the one idle longest, or waits until one ends or becomes idle.
    ///
    /// Only one task may call this at a time: `admit_waiting` and `slot_available` serve a single waiter.
    pub(crate) async fn admit(&self) -> ConnectionHandle {
        loop {
            if let Some(handle) = self.try_admit() {
                self.0.admit_waiting.store(false, Ordering::SeqCst);
                return handle;
            }
            // The first round sets the flag and looks once more; the second sleeps.
            let slot_available = self.0.slot_available.notified();
            if self.0.admit_waiting.swap(true, Ordering::SeqCst) {
                slot_available.await;
            }
        }
    }

    /// Gives a command to all connections, and to those that are accepted later.
    pub(crate) fn send_to_all(&self, command: ConnectionCommand) {
        let mut table = self.table();
        table.command = table.command.max(command);
        for state in table.open.values() {
            state.send(command);
        }
    }

    /// How many connections count towards the cap now.
    pub(crate) fn len(&self) -> usize {
        self.table().open.len()
    }

    fn try_admit(&self) -> Option<ConnectionHandle> {
        let mut table = self.table();
        if table.open.len() >= self.0.max_connections {
            let victim = table.longest_idle()?;
            table.open.remove(&victim.id);
            victim.send(ConnectionCommand::Evict);
        }
        table.next_id += 1;
        let state = Arc::new(ConnectionState {
            id: table.next_id,
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(self.now()),
            write_blocked: AtomicBool::new(false),
            had_request: AtomicBool::new(false),
            command: AtomicU8::new(table.command as u8),
            task: AtomicWaker::new(),
            connections: self.clone(),
        });
        table.open.insert(state.id, Arc::clone(&state));
        Some(ConnectionHandle(state))
    }

    /// Nanoseconds after the epoch.
    fn now(&self) -> u64 {
        u64::try_from(self.0.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// To be called after a connection ended or became idle.
    fn wake_admit(&self) {
        if self.0.admit_waiting.load(Ordering::SeqCst) {
            self.0.slot_available.notify_one();
        }
    }

    /// A poisoned lock is used all the same: no change to the table can panic halfway.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn longest_idle(&mut self) -> Option<Arc<ConnectionState>> {
        if let Some(found) = self.next_candidate() {
            return Some(found);
        }
        let idle = self.open.values().filter(|state| state.is_idle());
        let mut idle: Vec<_> = idle
            .map(|state| (Arc::clone(state), state.idle_since.load(Ordering::Relaxed)))
            .collect();
        idle.sort_unstable_by_key(|(_, since)| *since);
        idle.truncate(EVICTION_BATCH);
        self.eviction_candidates = idle.into();
        self.next_candidate()
    }

    /// The next candidate of the last scan that is still open and has been idle ever since.
    fn next_candidate(&mut self) -> Option<Arc<ConnectionState>> {
        while let Some((state, since)) = self.eviction_candidates.pop_front() {
            let unchanged = state.is_idle() && state.idle_since.load(Ordering::Relaxed) == since;
            if unchanged && self.open.contains_key(&state.id) {
                return Some(state);
            }
        }
        None
    }
}

impl ConnectionHandle {
    /// Resolves when the command is another than the one followed so far.
    ///
    /// It is polled whenever the connection is, so it costs a few instructions and takes no lock.
    pub(crate) fn next_command(
        &self,
        followed: ConnectionCommand,
    ) -> impl Future<Output = ConnectionCommand> {
        poll_fn(move |cx| {
            self.0.task.register(cx.waker());
            match self.0.command() {
                same if same == followed => Poll::Pending,
                other => Poll::Ready(other),
            }
        })
    }

    /// Whether a request ever arrived.
    pub(crate) fn had_request(&self) -> bool {
        self.0.had_request.load(Ordering::Relaxed)
    }

    /// How long the connection has been idle, zero while it is busy.
    pub(crate) fn idle_time(&self) -> Duration {
        if !self.0.is_idle() {
            return Duration::ZERO;
        }
        let since = self.0.idle_since.load(Ordering::Relaxed);
        Duration::from_nanos(self.0.connections.now().saturating_sub(since))
    }

    /// What the service and the socket report through.
    pub(crate) fn activity(&self) -> Activity {
        Activity(Arc::clone(&self.0))
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        let connections = &self.0.connections;
        connections.table().open.remove(&self.0.id);
        // The waker owns the task's memory, and an eviction candidate or a response body may keep the state for long.
        drop(self.0.task.take());
        connections.wake_admit();
    }
}

/// Reports what a connection does: requests that begin, writes that block.
#[derive(Clone)]
pub(crate) struct Activity(Arc<ConnectionState>);

impl Activity {
    /// A request arrived; it is in flight until the result is dropped.
    pub(crate) fn begin_request(&self) -> InFlight {
        self.0.had_request.store(true, Ordering::Relaxed);
        self.0.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(&self.0))
    }

    /// Notes whether the client reads what is written: a response that is stuck on its way keeps the connection busy.
    pub(crate) fn set_write_blocked(&self, blocked: bool) {
        if self.0.write_blocked.load(Ordering::Relaxed) == blocked {
            return;
        }
        self.0.write_blocked.store(blocked, Ordering::SeqCst);
        if !blocked {
            self.0.connections.wake_admit();
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
            connections.wake_admit();
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

    fn is_evicted(handle: &ConnectionHandle) -> bool {
        handle.0.command() == ConnectionCommand::Evict
    }

    #[tokio::test]
    async fn at_the_cap_the_oldest_idle_connection_goes() {
        let connections = Connections::new(3);
        let busy = connections.admit().await;
        let _request = busy.activity().begin_request();
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
        drop(first.activity().begin_request());

        let _newcomer = connections.admit().await;

        assert!(is_evicted(&second) && !is_evicted(&first));
    }

    #[tokio::test]
    async fn when_all_are_busy_a_new_connection_waits_for_one_to_finish() {
        let connections = Connections::new(1);
        let busy = connections.admit().await;
        let request = busy.activity().begin_request();
        let mut newcomer = Box::pin(connections.admit());
        assert!(newcomer.as_mut().now_or_never().is_none());

        drop(request);

        newcomer.await;
        assert!(is_evicted(&busy));
    }

    #[tokio::test]
    async fn a_command_wakes_the_task_that_waits_for_it() {
        let connections = Connections::new(1);
        let handle = connections.admit().await;

        let (command, ()) = tokio::join!(handle.next_command(ConnectionCommand::Serve), async {
            connections.send_to_all(ConnectionCommand::FinishAndClose);
        });

        assert_eq!(command, ConnectionCommand::FinishAndClose);
        assert!(
            handle
                .next_command(ConnectionCommand::FinishAndClose)
                .now_or_never()
                .is_none()
        );
    }

    #[tokio::test]
    async fn the_waker_of_a_closed_connection_is_dropped() {
        struct Task;
        impl Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let handle = Connections::new(1).admit().await;
        let (activity, task) = (handle.activity(), Arc::new(Task));
        let waker = Waker::from(Arc::clone(&task));
        let polled = pin!(handle.next_command(ConnectionCommand::Serve))
            .poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 2);

        drop(handle);

        assert_eq!(Arc::strong_count(&task), 1);
        drop(activity);
    }

    #[tokio::test]
    async fn a_command_reaches_later_connections_and_is_not_replaced_by_a_milder_one() {
        let connections = Connections::new(2);
        let early = connections.admit().await;

        connections.send_to_all(ConnectionCommand::Abort);
        connections.send_to_all(ConnectionCommand::FinishAndClose);
        let late = connections.admit().await;

        for handle in [early, late] {
            assert_eq!(
                handle.next_command(ConnectionCommand::Serve).await,
                ConnectionCommand::Abort
            );
        }
    }
}
