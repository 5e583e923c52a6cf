//! What the task of a connection holds of it.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use crate::{
    client::ClientNetwork,
    connections::ConnectionCommand,
    metrics::CloseReason,
    state::{Activity, ConnectionState, Phase},
};

/// A counted connection, held by the task that drives it. Dropping it removes the connection from the table.
pub(crate) struct ConnectionHandle(pub(crate) Arc<ConnectionState>);

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
        self.0.had_request()
    }

    /// What the connection waits for, and how long it has.
    pub(crate) fn phase(&self) -> (Phase, Duration) {
        self.0.phase()
    }

    /// The client that it counts for.
    pub(crate) fn client(&self) -> Option<ClientNetwork> {
        self.0.client
    }

    /// Counts why the connection ended.
    pub(crate) fn closed(&self, reason: CloseReason) {
        self.0.connections.metrics().closed(reason);
    }

    /// What the service and the socket report through.
    pub(crate) fn activity(&self) -> Activity {
        Activity(Arc::clone(&self.0))
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        let connections = &self.0.connections;
        connections.remove(&self.0);
        // The waker owns the task's memory, and an eviction candidate or a response body may keep the state for long.
        drop(self.0.task.take());
        connections.wake_admit();
    }
}
