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
use tokio::task::AbortHandle;

/// A check, made once for all who ask meanwhile; clones share it. One that panics has the default outcome.
#[derive(Clone, Default)]
pub(super) struct SharedCheck<T: Clone>(Arc<Mutex<Option<UnderWay<T>>>>);

/// The task of a check, and what comes of it.
type UnderWay<T> = (AbortHandle, Shared<BoxFuture<'static, T>>);

impl<T: Clone + Default + Send + Sync + 'static> SharedCheck<T> {
    /// The check that is under way, or this new one.
    pub(super) fn run(
        &self,
        check: impl Future<Output = T> + Send + 'static,
    ) -> Shared<BoxFuture<'static, T>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked of the task: when all who waited have left, nobody looks at what came of it, and it is old by now.
        if let Some((_, under_way)) = last.as_ref().filter(|(task, _)| !task.is_finished()) {
            return under_way.clone();
        }
        // Boxed: tokio's code is generated for each type of future.
        let task = tokio::spawn(check.boxed());
        let handle = task.abort_handle();
        let check = async { task.await.unwrap_or_default() };
        let check = check.boxed().shared();
        *last = Some((handle, check.clone()));
        check
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_came_of_a_check_that_everybody_left_is_told_to_nobody_later() {
        let (check, done) = (SharedCheck::default(), Arc::new(Notify::new()));
        let finished = Arc::clone(&done);
        drop(check.run(async move {
            finished.notify_one();
            "old"
        }));
        done.notified().await;
        tokio::task::yield_now().await;

        assert_eq!(check.run(async { "new" }).await, "new");
    }
}
