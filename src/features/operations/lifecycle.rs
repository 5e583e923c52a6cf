//! Whether this replica accepts traffic.
//!
//! A process starts, serves and drains, in this order, and never goes back: one that is told to stop
//! while it is still starting stays in `DRAINING` when its start completes. The state is one atomic
//! number, because probes read it from any thread and nothing else is published with it.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

/// The state of the process between start and exit; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle(Arc<AtomicU8>);

impl Lifecycle {
    /// Accepts traffic: the database was found and its schema is current. No effect after [`drain`](Self::drain).
    pub fn serve(&self) {
        let _ = self
            .0
            .compare_exchange(STARTING, SERVING, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Asks load balancers, through `GET /ready`, for no further traffic. Requests are still answered.
    pub fn drain(&self) {
        self.0.store(DRAINING, Ordering::Relaxed);
    }

    /// Whether the process is neither starting nor draining.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SERVING
    }
}
