//! The state of the database and its schema, for `/health`.
//!
//! Anyone may ask, and no limit applies, so the check is made once for all who ask at the same time, on the connection
//! for probes. It goes on when those who asked have left: otherwise a table that is locked would have a statement
//! waiting for it on behalf of each of them, and `/ready` behind all of these.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chassis_postgres::{Comparison, Database};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use crate::migrations::MIGRATIONS;

/// What a check of the database found.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    /// How long it took to answer; `None` when it did not.
    pub(super) latency: Option<Duration>,
    /// How its schema compares with this program; `None` when it could not be read.
    pub(super) schema: Option<Comparison>,
}

impl Health {
    async fn of(database: Database) -> Self {
        let Ok(latency) = database.ping().await else {
            return Self::default();
        };
        Self {
            latency: Some(latency),
            schema: MIGRATIONS.compare_with(database.probe()).await.ok(),
        }
    }

    /// Whether requests can be served.
    pub(super) fn is_good(&self) -> bool {
        self.latency.is_some() && self.schema.as_ref().is_some_and(Comparison::is_current)
    }
}

/// Checks the database, once for all who ask meanwhile; clones share it.
#[derive(Clone)]
pub(super) struct HealthCheck {
    database: Database,
    last: Arc<Mutex<Option<Shared<BoxFuture<'static, Health>>>>>,
}

impl HealthCheck {
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            last: Arc::default(),
        }
    }

    /// The check that is under way, or a new one.
    pub(super) fn run(&self) -> impl Future<Output = Health> + Send + use<> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = last.as_ref().filter(|last| last.peek().is_none()) {
            return under_way.clone();
        }
        let task = tokio::spawn(Health::of(self.database.clone()));
        let check = async { task.await.unwrap_or_default() };
        last.insert(check.boxed().shared()).clone()
    }
}
