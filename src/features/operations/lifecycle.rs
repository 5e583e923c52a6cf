//! Whether this replica accepts traffic.
//!
//! A process starts, serves and drains, in this order, and never goes back: one that is told to stop while it is still
//! starting is `STOPPED`, also when its start completes. Requests are answered while it serves and while it drains; before
//! that the schema is not known to be right, so the API answers 503. The state is one atomic number, because probes read it
//! from any thread and nothing else is published with it.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;
/// Told to stop before it served.
const STOPPED: u8 = 3;

/// The state of the process between start and exit; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle(Arc<AtomicU8>);

impl Lifecycle {
    /// Accepts traffic: the database was found and its schema is current. No effect after [`drain`](Self::drain).
    pub fn serve(&self) {
        self.change(STARTING, SERVING);
    }

    /// Asks load balancers, through `GET /ready`, for no further traffic. Requests are still answered, if they ever were.
    pub fn drain(&self) {
        self.change(STARTING, STOPPED);
        self.change(SERVING, DRAINING);
    }

    fn change(&self, from: u8, to: u8) {
        let _ = self
            .0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether the process is neither starting nor draining.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SERVING
    }

    /// Whether the schema was found to be current, so that requests can be answered; also while it drains.
    #[must_use]
    pub fn has_started(&self) -> bool {
        matches!(self.0.load(Ordering::Relaxed), SERVING | DRAINING)
    }
}
