//! The connections of a server: how many there may be, and which is closed when there are too many.
//! What a single connection is doing is told by `state.rs`.
//!
//! # Commands
//!
//! A connection is driven by one task, which nothing else may touch. Others only leave a
//! [`ConnectionCommand`] in its state and wake the task. Commands only become more urgent: a `fetch_max`
//! keeps a late `FinishAndClose` from replacing an `Abort`. The table also remembers the most urgent
//! command given to all, so that a connection accepted during the shutdown starts with it.
//!
//! # The caps and eviction
//!
//! The table counts connections that were accepted and neither ended nor evicted. An evicted connection
//! stops counting when it is told, not when it is closed, because it may take up to the close grace to
//! write its last bytes: for that long the number of open sockets may exceed the cap. When there are no file
//! descriptors left, [`Connections::free_descriptor`] cuts these first.
//!
//! Only [`Connections::admit`] evicts, and only the accept loop calls it. It evicts the connection that has waited
//! longest for its client: at once if it is idle, after the stall grace if it is in the middle of a request, and after
//! [`NEW_GRACE`] if it has not sent its first one: otherwise newcomers would evict each other while older clients stall.
//! One that waits for the service is never evicted. When there is none, `admit` waits until there is, and further clients wait
//! in the kernel's queue.
//!
//! A client network has a cap of its own, so that one client cannot use up the other. Beyond it the new connection
//! replaces one of the same client, by the same rule, and is refused if there is none: it must not wait, because
//! everybody else's connections wait behind it.
//!
//! A victim is chosen by scanning all connections and keeping the [`EVICTION_BATCH`] that have waited longest, so that
//! under a flood the scan is paid once per batch. A candidate that has made progress since is skipped.
//! A request may arrive between the check and the command; the connection's task then sees `Evict` with a request in
//! flight, shuts down gracefully, and the request has the close grace.
//!
//! # Locks
//!
//! The mutex around the table is taken when a connection begins and ends and when a command goes to all, not per request:
//! requests touch atomics of their own connection only, so that connections on different cores share no cache lines.
//!
//! The wake-up of `admit` uses two variables. Its task sets `admit_waiting` and looks at the table *again*
//! before it sleeps; a connection changes its state first and reads `admit_waiting` afterwards. With
//! sequentially consistent operations one of the two always sees the other, so no wake-up is lost, and
//! while nothing waits a request costs one load of a flag that is never written. That a connection has stalled is no
//! change of its state, so `admit` also looks again every [`RESCAN_PAUSE`].

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    client::ClientNetwork,
    connection_handle::ConnectionHandle,
    metrics::{CloseReason, ServerMetrics},
    options::ServerOptions,
    state::{ConnectionState, Graces},
};

/// How many of the connections that have waited longest one scan of the table finds.
const EVICTION_BATCH: usize = 64;

/// How often `admit` looks for a connection that has stalled meanwhile.
const RESCAN_PAUSE: Duration = Duration::from_millis(100);

/// How long a new connection has for its first request before it may be evicted.
const NEW_GRACE: Duration = Duration::from_millis(100);

/// How many clients are remembered as having met their cap, and logged.
const LOGGED_CLIENTS: usize = 256;

/// What the task of a connection is told to do. Each is more urgent than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum ConnectionCommand {
    /// Serve requests.
    Serve,
    /// The server shuts down: finish the requests in flight, then close.
    FinishAndClose,
    /// The cap was reached and this connection waited for its client: close within the close grace.
    Evict,
    /// Close now, whatever is in flight.
    Abort,
}

/// All connections of a server. Clones share them.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Shared>);

struct Shared {
    max_connections: usize,
    max_per_client: usize,
    max_http2_body_bytes: usize,
    graces: Graces,
    metrics: ServerMetrics,
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
    /// The open connections of each client.
    by_client: HashMap<ClientNetwork, HashSet<u64>>,
    /// Those that were evicted, and not closed yet.
    closing: HashMap<u64, Arc<ConnectionState>>,
    /// The connections that had waited longest at the last scan, each with the time since when.
    eviction_candidates: VecDeque<(Arc<ConnectionState>, u64)>,
    /// The most urgent command given to all, which new connections start with.
    command: ConnectionCommand,
    logged_clients: HashSet<ClientNetwork>,
}

/// Why a connection was not admitted.
enum Full {
    /// All connections are in use.
    All,
    /// All connections of this client are in use.
    Client,
}

impl Connections {
    /// An empty table with these caps.
    pub(crate) fn new(options: &ServerOptions, metrics: ServerMetrics) -> Self {
        Self(Arc::new(Shared {
            max_connections: options.max_connections,
            max_per_client: options.max_connections_per_client,
            max_http2_body_bytes: options.max_http2_body_bytes,
            graces: Graces {
                first_request: NEW_GRACE,
                stall: options.stall_grace,
            },
            metrics,
            epoch: Instant::now(),
            table: Mutex::new(Table {
                next_id: 0,
                open: HashMap::new(),
                by_client: HashMap::new(),
                closing: HashMap::new(),
                eviction_candidates: VecDeque::new(),
                command: ConnectionCommand::Serve,
                logged_clients: HashSet::new(),
            }),
            admit_waiting: AtomicBool::new(false),
            slot_available: Notify::new(),
        }))
    }

    /// Adds a connection of this client, `None` for one without a cap of its own. At the cap it evicts the connection
    /// that has waited longest for its client, or waits until there is one. `None` when the client's own connections
    /// are all in use.
    ///
    /// Only one task may call this at a time: `admit_waiting` and `slot_available` serve a single waiter.
    pub(crate) async fn admit(&self, client: Option<ClientNetwork>) -> Option<ConnectionHandle> {
        loop {
            match self.try_admit(client) {
                Ok(handle) => {
                    self.0.admit_waiting.store(false, Ordering::SeqCst);
                    return Some(handle);
                }
                Err(Full::Client) => {
                    self.0.metrics.closed(CloseReason::ClientLimit);
                    return None;
                }
                Err(Full::All) => {}
            }
            // The first round sets the flag and looks once more; the second sleeps.
            if self.0.admit_waiting.swap(true, Ordering::SeqCst) {
                self.slot_available().await;
            }
        }
    }

    /// Cuts the connection that can best be spared, because there are no file descriptors left, and waits for a moment
    /// until it is closed.
    pub(crate) async fn free_descriptor(&self) {
        let victim = {
            let mut table = self.table();
            let closing = table.closing.values().next().cloned();
            closing.or_else(|| self.evict_longest_waiting(&mut table))
        };
        if let Some(victim) = victim {
            self.0.admit_waiting.store(true, Ordering::SeqCst);
            victim.send(ConnectionCommand::Abort);
        }
        self.slot_available().await;
    }

    /// Waits until a connection has ended or become idle, or [`RESCAN_PAUSE`] has passed.
    async fn slot_available(&self) {
        let slot_available = self.0.slot_available.notified();
        // Either way the table is looked at again.
        let _ = tokio::time::timeout(RESCAN_PAUSE, slot_available).await;
    }

    /// Gives a command to all connections, and to those that are accepted later.
    pub(crate) fn send_to_all(&self, command: ConnectionCommand) {
        let mut table = self.table();
        table.command = table.command.max(command);
        for state in table.open.values().chain(table.closing.values()) {
            state.send(command);
        }
    }

    /// How many connections count towards the cap now.
    pub(crate) fn len(&self) -> usize {
        self.table().open.len()
    }

    pub(crate) fn max_http2_body_bytes(&self) -> usize {
        self.0.max_http2_body_bytes
    }

    pub(crate) fn metrics(&self) -> &ServerMetrics {
        &self.0.metrics
    }

    fn try_admit(&self, client: Option<ClientNetwork>) -> Result<ConnectionHandle, Full> {
        let mut table = self.table();
        if let Some(client) = client {
            self.make_room_for_client(&mut table, client)?;
        }
        if table.open.len() >= self.0.max_connections {
            self.evict_longest_waiting(&mut table).ok_or(Full::All)?;
        }
        table.next_id += 1;
        let state = ConnectionState::new(table.next_id, client, table.command, self.clone());
        let state = Arc::new(state);
        table.open.insert(state.id, Arc::clone(&state));
        if let Some(client) = client {
            table.by_client.entry(client).or_default().insert(state.id);
        }
        Ok(ConnectionHandle(state))
    }

    /// Evicts a connection of this client if it has as many as it may have.
    fn make_room_for_client(&self, table: &mut Table, client: ClientNetwork) -> Result<(), Full> {
        let Some(own) = table.by_client.get(&client) else {
            return Ok(());
        };
        if own.len() < self.0.max_per_client {
            return Ok(());
        }
        let own = own.iter().filter_map(|id| table.open.get(id));
        let graces = Graces {
            // They are the client's own: it decides by opening another.
            first_request: Duration::ZERO,
            ..self.0.graces
        };
        let waiting = own.filter_map(|state| {
            let since = state.evictable_since(graces)?;
            Some((since, state))
        });
        let victim = waiting
            .min_by_key(|(since, _)| *since)
            .map(|(_, state)| Arc::clone(state));
        if table.logged_clients.len() < LOGGED_CLIENTS && table.logged_clients.insert(client) {
            tracing::warn!(
                client_network = %client,
                limit = self.0.max_per_client,
                advice = "if this is a proxy of yours, name it in TRUSTED_PROXIES; \
                          MAX_CONNECTIONS_PER_CLIENT is the limit",
                "client_connection_limit_reached"
            );
        }
        self.evict(table, &victim.ok_or(Full::Client)?);
        Ok(())
    }

    fn evict_longest_waiting(&self, table: &mut Table) -> Option<Arc<ConnectionState>> {
        let victim = table.longest_waiting(self.0.graces)?;
        self.evict(table, &victim);
        Some(victim)
    }

    fn evict(&self, table: &mut Table, victim: &Arc<ConnectionState>) {
        table.remove(victim);
        table.closing.insert(victim.id, Arc::clone(victim));
        self.0.metrics.closed(CloseReason::Evicted);
        victim.send(ConnectionCommand::Evict);
    }

    /// Nanoseconds after the epoch. Never 0.
    pub(crate) fn now(&self) -> u64 {
        let elapsed = self.0.epoch.elapsed().as_nanos();
        u64::try_from(elapsed).unwrap_or(u64::MAX).max(1)
    }

    /// To be called after a connection ended or became idle.
    pub(crate) fn wake_admit(&self) {
        if self.0.admit_waiting.load(Ordering::SeqCst) {
            self.0.slot_available.notify_one();
        }
    }

    /// A poisoned lock is used all the same: no change to the table can panic halfway.
    /// Forgets a connection that has ended.
    pub(crate) fn remove(&self, state: &ConnectionState) {
        self.table().remove(state);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn longest_waiting(&mut self, graces: Graces) -> Option<Arc<ConnectionState>> {
        if let Some(found) = self.next_candidate(graces) {
            return Some(found);
        }
        let waiting = self.open.values().filter_map(|state| {
            let since = state.evictable_since(graces)?;
            Some((Arc::clone(state), since))
        });
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_unstable_by_key(|(_, since)| *since);
        waiting.truncate(EVICTION_BATCH);
        self.eviction_candidates = waiting.into();
        self.next_candidate(graces)
    }

    /// The next candidate of the last scan that is still open and has made no progress since.
    fn next_candidate(&mut self, graces: Graces) -> Option<Arc<ConnectionState>> {
        while let Some((state, since)) = self.eviction_candidates.pop_front() {
            let unchanged = state.evictable_since(graces) == Some(since);
            if unchanged && self.open.contains_key(&state.id) {
                return Some(state);
            }
        }
        None
    }

    fn remove(&mut self, state: &ConnectionState) {
        self.open.remove(&state.id);
        self.closing.remove(&state.id);
        let Some(client) = state.client else { return };
        if let Some(own) = self.by_client.get_mut(&client) {
            own.remove(&state.id);
            if own.is_empty() {
                self.by_client.remove(&client);
            }
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
    use crate::reply::Reply;

    const STALL_GRACE: Duration = Duration::from_secs(1);

    fn table(max_connections: usize, max_connections_per_client: usize) -> Connections {
        let options = ServerOptions {
            max_connections,
            max_connections_per_client,
            stall_grace: STALL_GRACE,
            ..ServerOptions::default()
        };
        Connections::new(&options, ServerMetrics::default())
    }

    async fn admit(connections: &Connections) -> ConnectionHandle {
        connections.admit(None).await.unwrap()
    }

    fn client(last: u8) -> ClientNetwork {
        ClientNetwork::of([192, 0, 2, last].into())
    }

    fn begin_request(handle: &ConnectionHandle) -> Arc<Reply> {
        Reply::begin(&handle.0, true)
    }

    /// A request whose response is taken whole, at once.
    fn take_response(handle: &ConnectionHandle) {
        begin_request(handle).ended();
    }

    fn is_evicted(handle: &ConnectionHandle) -> bool {
        handle.0.command() == ConnectionCommand::Evict
    }

    #[tokio::test]
    async fn at_the_cap_the_oldest_idle_connection_goes() {
        let connections = table(3, 3);
        let busy = admit(&connections).await;
        let _request = begin_request(&busy);
        let oldest = admit(&connections).await;
        let younger = admit(&connections).await;

        let _newcomer = admit(&connections).await;

        assert!(is_evicted(&oldest));
        assert!(!is_evicted(&busy) && !is_evicted(&younger));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_is_not_evicted_before_it_can_have_sent_a_request() {
        let connections = table(2, 2);
        let stalled = admit(&connections).await;
        let response = begin_request(&stalled);
        let _chunk = response.chunk_of(1);
        tokio::time::advance(STALL_GRACE.saturating_sub(NEW_GRACE / 2)).await;
        let newcomer = admit(&connections).await;

        assert!(
            connections.try_admit(None).is_err(),
            "one of them was evicted"
        );
        tokio::time::advance(NEW_GRACE / 2).await;
        let _next = admit(&connections).await;

        assert!(is_evicted(&stalled) && !is_evicted(&newcomer));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_used_again_is_younger() {
        let connections = table(2, 2);
        let first = admit(&connections).await;
        let second = admit(&connections).await;
        tokio::time::advance(STALL_GRACE).await;
        take_response(&first);

        let _newcomer = admit(&connections).await;

        assert!(is_evicted(&second) && !is_evicted(&first));
    }

    #[tokio::test]
    async fn when_all_are_busy_a_new_connection_waits_for_one_to_finish() {
        let connections = table(1, 1);
        let busy = admit(&connections).await;
        let request = begin_request(&busy);
        let mut newcomer = Box::pin(admit(&connections));
        assert!(newcomer.as_mut().now_or_never().is_none());

        drop(request);

        newcomer.await;
        assert!(is_evicted(&busy));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_service_works_is_no_stalling_of_the_client() {
        let connections = table(1, 1);
        let busy = admit(&connections).await;
        let response = begin_request(&busy);
        tokio::time::advance(STALL_GRACE * 3).await;
        let _chunk = response.chunk_of(1);

        tokio::time::advance(STALL_GRACE / 2).await;
        assert!(connections.try_admit(None).is_err() && !is_evicted(&busy));
        tokio::time::advance(STALL_GRACE / 2).await;
        let _newcomer = admit(&connections).await;

        assert!(is_evicted(&busy));
    }

    #[tokio::test(start_paused = true)]
    async fn one_whose_client_takes_nothing_goes_after_a_grace_whatever_else_it_begins() {
        let connections = table(1, 1);
        let stalled = admit(&connections).await;
        let response = begin_request(&stalled);
        let chunk = response.chunk_of(1);
        tokio::time::advance(STALL_GRACE / 2).await;
        let other = begin_request(&stalled);
        let other_chunk = other.chunk_of(1);
        drop((other_chunk, other));
        assert!(
            connections.try_admit(None).is_err(),
            "the grace is over too soon"
        );
        tokio::time::advance(STALL_GRACE / 2).await;

        let _newcomer = admit(&connections).await;

        assert!(is_evicted(&stalled));
        drop((chunk, response));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_the_service_works_for_is_never_evicted() {
        let connections = table(1, 1);
        let busy = admit(&connections).await;
        let stalled = begin_request(&busy);
        let _chunk = stalled.chunk_of(1);
        let _request = begin_request(&busy);

        tokio::time::advance(STALL_GRACE * 100).await;

        assert!(connections.try_admit(None).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_at_its_own_cap_replaces_a_connection_of_its_own_or_is_refused() {
        let connections = table(10, 2);
        let elder = connections.admit(Some(client(1))).await.unwrap();
        tokio::time::advance(STALL_GRACE).await;
        let younger = connections.admit(Some(client(1))).await.unwrap();
        let stranger = connections.admit(Some(client(2))).await.unwrap();

        let third = connections.admit(Some(client(1))).await.unwrap();
        assert!(is_evicted(&elder) && !is_evicted(&younger) && !is_evicted(&stranger));
        let _requests = [begin_request(&younger), begin_request(&third)];
        assert!(connections.admit(Some(client(1))).await.is_none());
        assert!(connections.admit(Some(client(2))).await.is_some());
        assert!(connections.admit(None).await.is_some());
        drop(third);

        assert!(connections.admit(Some(client(1))).await.is_some());
    }

    #[tokio::test]
    async fn without_descriptors_an_evicted_connection_goes_first_then_the_oldest_idle() {
        let connections = table(2, 2);
        let evicted = admit(&connections).await;
        let oldest = admit(&connections).await;
        let _younger = admit(&connections).await;
        assert!(is_evicted(&evicted));

        connections.free_descriptor().await;
        assert_eq!(evicted.0.command(), ConnectionCommand::Abort);
        assert_eq!(oldest.0.command(), ConnectionCommand::Serve);
        drop(evicted);
        connections.free_descriptor().await;

        assert_eq!(oldest.0.command(), ConnectionCommand::Abort);
    }

    #[tokio::test]
    async fn a_command_wakes_the_task_that_waits_for_it() {
        let connections = table(1, 1);
        let handle = admit(&connections).await;

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
        struct Task(AtomicBool);
        impl Wake for Task {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let handle = admit(&table(1, 1)).await;
        let (activity, task) = (handle.activity(), Arc::new(Task(AtomicBool::new(false))));
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
        let connections = table(2, 2);
        let early = admit(&connections).await;

        connections.send_to_all(ConnectionCommand::Abort);
        connections.send_to_all(ConnectionCommand::FinishAndClose);
        let late = admit(&connections).await;

        for handle in [early, late] {
            assert_eq!(
                handle.next_command(ConnectionCommand::Serve).await,
                ConnectionCommand::Abort
            );
        }
    }
}
