//! Checks that anyone may ask for, without a limit.
//!
//! A check is made once for all who ask at the same time, on the connection for probes. It goes on when those who asked
//! have left: otherwise each of them would leave a statement behind that waits for a database which is frozen, or a table
//! that is locked, and the balancer's probe would wait behind all of these.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

/// A check, made once for all who ask meanwhile; clones share it. One that panics has the default outcome.
#[derive(Clone, Default)]
pub(super) struct SharedCheck<T: Clone>(Arc<Mutex<Option<Shared<BoxFuture<'static, T>>>>>);

impl<T: Clone + Default + Send + Sync + 'static> SharedCheck<T> {
    /// The check that is under way, or this new one.
    pub(super) fn run(
        &self,
        check: impl Future<Output = T> + Send + 'static,
    ) -> Shared<BoxFuture<'static, T>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = last.as_ref().filter(|last| last.peek().is_none()) {
            return under_way.clone();
        }
        let task = tokio::spawn(check);
        let check = async { task.await.unwrap_or_default() };
        last.insert(check.boxed().shared()).clone()
    }
}
