//! What one connection is doing, as atomics that its tasks write and the accept loop reads.
//!
//! # Phases
//!
//! [`ConnectionState::phase`] tells what a connection waits for, and for how long it has:
//!
//! - **new**: no request has arrived yet.
//! - **reading a head**: the first bytes of a next HTTP/1 request have arrived, but not its whole head.
//! - **idle**: no request is in flight, and no bytes wait to be written.
//! - **serving**: the service works on at least one request.
//! - **receiving** or **sending**: requests are in flight, and each of them waits for the client: for a part of its
//!   body, or until the client has taken a part of its response.
//!
//! A request is in flight until its response has been handed to the kernel, the last byte included. Only a connection
//! that is serving waits for the service. All others wait for the client, and may be closed when there are too many.
//!
//! # Progress
//!
//! What counts as progress is the request, not the socket: an HTTP/2 client that takes none of its responses can send
//! pings for ever. Progress is [`CHUNK`] bytes of a response taken or of a body received, a body received or a
//! response taken to its end, and a request that begins after such a response. A request that begins beside a stalled
//! one is none, nor is a reset; otherwise a client could stay in favour by opening and resetting streams.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicIsize, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::task::AtomicWaker;

use crate::{
    client::ClientNetwork,
    connections::{ConnectionCommand, Connections},
};

/// The largest piece of a response that is handed to hyper at once, in bytes, and the least amount of progress.
pub(crate) const CHUNK: usize = 16 * 1024;

/// What a connection waits for; see the top of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    New,
    ReadingHead,
    Idle,
    Serving,
    Receiving,
    /// HTTP/1, where responses go out one after the other.
    Sending,
    /// HTTP/2, where each stream has a time limit of its own.
    SendingStreams,
}

/// How long a connection that waits for its client is spared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Graces {
    /// Before its first request.
    pub(crate) first_request: Duration,
    /// In the middle of a request.
    pub(crate) stall: Duration,
}

/// The state of a connection, shared by its tasks, its requests and the table of connections.
pub(crate) struct ConnectionState {
    pub(crate) id: u64,
    /// `None` on a unix socket, and for a trusted proxy.
    pub(crate) client: Option<ClientNetwork>,
    in_flight: AtomicUsize,
    /// Of these, how many the service works on. Signed, as two threads may add and subtract in either order.
    serving: AtomicIsize,
    /// Since when it works on one at least.
    serving_since: AtomicU64,
    /// Of these, how many have a part of their response on its way.
    sending: AtomicIsize,
    /// When the last request ended, or the connection was accepted. All times are nanoseconds after the epoch.
    idle_since: AtomicU64,
    progress_at: AtomicU64,
    /// Whether a request that begins now is progress.
    is_progressing: AtomicBool,
    /// When the first byte after the last request arrived; 0 if none has.
    head_since: AtomicU64,
    /// Whether the last write found the socket's buffer full.
    write_blocked: AtomicBool,
    had_request: AtomicBool,
    is_http2: AtomicBool,
    command: AtomicU8,
    /// How many bytes of bodies of its requests the service has and may hold.
    body_bytes: AtomicUsize,
    /// The task that drives the connection.
    pub(crate) task: AtomicWaker,
    pub(crate) connections: Connections,
}

impl ConnectionState {
    pub(crate) fn new(
        id: u64,
        client: Option<ClientNetwork>,
        command: ConnectionCommand,
        connections: Connections,
    ) -> Self {
        let now = connections.now();
        Self {
            id,
            client,
            in_flight: AtomicUsize::new(0),
            serving: AtomicIsize::new(0),
            serving_since: AtomicU64::new(now),
            sending: AtomicIsize::new(0),
            idle_since: AtomicU64::new(now),
            progress_at: AtomicU64::new(now),
            is_progressing: AtomicBool::new(true),
            head_since: AtomicU64::new(0),
            write_blocked: AtomicBool::new(false),
            had_request: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            command: AtomicU8::new(command as u8),
            body_bytes: AtomicUsize::new(0),
            task: AtomicWaker::new(),
            connections,
        }
    }

    /// The phase, and how long it has lasted without progress; no time while the service works.
    pub(crate) fn phase(&self) -> (Phase, Duration) {
        let (phase, since) = self.phase_since();
        let lasted = since.map_or(0, |since| self.connections.now().saturating_sub(since));
        (phase, Duration::from_nanos(lasted))
    }

    /// The phase, and since when the connection has waited for its client.
    fn phase_since(&self) -> (Phase, Option<u64>) {
        let read = |moment: &AtomicU64| Some(moment.load(Ordering::Relaxed));
        let is_sending = self.sending.load(Ordering::SeqCst) > 0 || self.is_write_blocked();
        if self.in_flight.load(Ordering::SeqCst) == 0 && !is_sending {
            if !self.had_request() {
                return (Phase::New, read(&self.idle_since));
            }
            if self.head_since.load(Ordering::Relaxed) > 0 {
                return (Phase::ReadingHead, read(&self.head_since));
            }
            return (Phase::Idle, read(&self.idle_since));
        }
        if self.serving.load(Ordering::SeqCst) > 0 {
            return (Phase::Serving, None);
        }
        let phase = match (is_sending, self.is_http2.load(Ordering::Relaxed)) {
            (false, _) => Phase::Receiving,
            (true, false) => Phase::Sending,
            (true, true) => Phase::SendingStreams,
        };
        (phase, read(&self.progress_at))
    }

    /// Since when the connection has done nothing but wait for its client, if it may be closed for another: at once
    /// when it is idle, after a grace when it is new or in the middle of a request.
    pub(crate) fn evictable_since(&self, graces: Graces) -> Option<u64> {
        let (phase, since) = self.phase_since();
        let since = since?;
        let grace = match phase {
            Phase::Idle | Phase::ReadingHead => return Some(since),
            Phase::New => graces.first_request,
            _ => graces.stall,
        };
        let waited = Duration::from_nanos(self.connections.now().saturating_sub(since));
        (waited >= grace).then_some(since)
    }

    pub(crate) fn had_request(&self) -> bool {
        self.had_request.load(Ordering::Relaxed)
    }

    /// Gives a command, unless a more urgent one was given before.
    pub(crate) fn send(&self, command: ConnectionCommand) {
        self.command.fetch_max(command as u8, Ordering::AcqRel);
        self.task.wake();
    }

    pub(crate) fn command(&self) -> ConnectionCommand {
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

    /// A request arrived. The service works on it.
    pub(crate) fn request_began(&self, is_http2: bool) {
        let now = self.connections.now();
        self.is_http2.store(is_http2, Ordering::Relaxed);
        self.had_request.store(true, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        self.add_serving(1, now);
        let is_only_one = self.in_flight.fetch_add(1, Ordering::SeqCst) == 0;
        if is_only_one && self.is_progressing.swap(false, Ordering::Relaxed) {
            self.progressed(now);
        }
    }

    /// A request ended: its response was taken `whole`, or it was given up, at this moment.
    pub(crate) fn request_ended(&self, whole: bool, now: u64) {
        self.idle_since.store(now, Ordering::Relaxed);
        if whole {
            self.progress_at.store(now, Ordering::Relaxed);
            self.is_progressing.store(true, Ordering::Relaxed);
        }
        if self.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.connections.wake_admit();
        }
    }

    /// A request begins or ceases to occupy the service, at this moment.
    ///
    /// While the service works, nobody waits for the client. So that time is taken out of what the client has stalled for: a
    /// request that took long to answer is not cut the moment that its answer, or the rest of its body, is on its way.
    pub(crate) fn add_serving(&self, change: isize, now: u64) {
        let before = self.serving.fetch_add(change, Ordering::SeqCst);
        match (before > 0, before + change > 0) {
            (false, true) => self.serving_since.store(now, Ordering::Relaxed),
            (true, false) => {
                let worked = now.saturating_sub(self.serving_since.load(Ordering::Relaxed));
                let later = |progress_at: u64| Some(progress_at.saturating_add(worked).min(now));
                let order = Ordering::Relaxed;
                let _ = self.progress_at.fetch_update(order, order, later);
            }
            _ => {}
        }
    }

    /// A part of a response is on its way for a request that had none, or the last such part is gone.
    pub(crate) fn add_sending(&self, change: isize) {
        self.sending.fetch_add(change, Ordering::SeqCst);
    }

    /// The client took or sent enough to count, at this moment.
    pub(crate) fn progressed(&self, now: u64) {
        self.progress_at.store(now, Ordering::Relaxed);
    }

    /// Bytes were read from the socket. Between two requests of HTTP/1 they begin the next head; HTTP/2 has frames
    /// that belong to no request.
    pub(crate) fn bytes_read(&self) {
        let begins_head = self.had_request()
            && self.in_flight.load(Ordering::Relaxed) == 0
            && !self.is_http2.load(Ordering::Relaxed)
            && self.head_since.load(Ordering::Relaxed) == 0;
        if begins_head {
            self.head_since
                .store(self.connections.now(), Ordering::Relaxed);
        }
    }

    /// Hands so many bytes of a body to the service. Whether the client may have that many there.
    ///
    /// A connection of HTTP/1 has one body at a time, and the service decides how much of it it keeps. In HTTP/2 it would have
    /// one per stream, each all but complete, from a client that opens a single connection for it. A proxy has the
    /// bodies of many clients, who must not be able to keep each other from sending one.
    pub(crate) fn hold_body_bytes(&self, count: usize) -> bool {
        let held = self.body_bytes.fetch_add(count, Ordering::Relaxed) + count;
        self.client.is_none() || held <= self.connections.max_http2_body_bytes()
    }

    /// The service holds so many bytes less.
    pub(crate) fn release_body_bytes(&self, count: usize) {
        self.body_bytes.fetch_sub(count, Ordering::Relaxed);
    }

    fn is_write_blocked(&self) -> bool {
        self.write_blocked.load(Ordering::SeqCst)
    }

    /// Notes whether the socket's buffer is full.
    pub(crate) fn set_write_blocked(&self, blocked: bool) {
        if self.write_blocked.load(Ordering::Relaxed) == blocked {
            return;
        }
        self.write_blocked.store(blocked, Ordering::SeqCst);
        if !blocked {
            self.connections.wake_admit();
        }
    }
}

/// Reports what happens on the socket, and begins requests.
#[derive(Clone)]
pub(crate) struct Activity(pub(crate) Arc<ConnectionState>);

impl Activity {
    pub(crate) fn bytes_read(&self) {
        self.0.bytes_read();
    }

    pub(crate) fn set_write_blocked(&self, blocked: bool) {
        self.0.set_write_blocked(blocked);
    }
}
