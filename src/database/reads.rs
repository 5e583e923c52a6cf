//! A few connections that all reads share.
//!
//! PostgreSQL answers the statements of one connection in order, and the
//! driver sends them without waiting in between, so many requests can use one
//! connection at once. That is several times cheaper than handing a connection
//! to each. Only single reads go this way; a transaction needs the pool.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::ClientWrapper;
use tokio::sync::Mutex;
use tokio_postgres::{Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    error::DatabaseError,
    pool,
    statement::{Executor, Parameters, Query, Rules},
};

/// The shared connections. Each is opened when first needed, and again when it broke.
pub struct Reads {
    slots: Vec<Slot>,
    next: AtomicUsize,
    config: Config,
    tls: MakeRustlsConnect,
    connect_timeout: Duration,
    rules: Arc<Rules>,
}

#[derive(Default)]
struct Slot {
    current: RwLock<Option<Arc<Shared>>>,
    /// Held by whoever is opening the connection, so that one does.
    opening: Mutex<()>,
}

struct Shared {
    client: ClientWrapper,
    /// A statement on it never ended: nothing behind it will either.
    stuck: AtomicBool,
}

impl Shared {
    fn is_usable(&self) -> bool {
        !self.client.is_closed() && !self.stuck.load(Ordering::Relaxed)
    }
}

impl Slot {
    fn usable(&self) -> Option<Arc<Shared>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current
            .as_ref()
            .filter(|shared| shared.is_usable())
            .cloned()
    }

    fn replace(&self, shared: &Arc<Shared>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::clone(shared));
    }
}

impl Reads {
    pub(super) fn new(
        connections: usize,
        config: Config,
        tls: MakeRustlsConnect,
        connect_timeout: Duration,
        rules: Arc<Rules>,
    ) -> Self {
        Self {
            slots: (0..connections).map(|_| Slot::default()).collect(),
            next: AtomicUsize::new(0),
            config,
            tls,
            connect_timeout,
            rules,
        }
    }

    async fn shared(&self) -> Result<Arc<Shared>, DatabaseError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = &self.slots[turn % self.slots.len()];
        if let Some(shared) = slot.usable() {
            return Ok(shared);
        }
        let opened = tokio::time::timeout(self.connect_timeout, async {
            let _one = slot.opening.lock().await;
            if let Some(shared) = slot.usable() {
                return Ok(shared);
            }
            let shared = Arc::new(self.open().await?);
            slot.replace(&shared);
            Ok(shared)
        });
        let outcome = opened
            .await
            .unwrap_or(Err(DatabaseError::Unreachable(None)));
        if outcome.is_err() {
            self.rules.metrics.observe_failure("connect", "connect");
        }
        outcome
    }

    async fn open(&self) -> Result<Shared, DatabaseError> {
        let connected = self.config.connect(self.tls.clone()).await;
        let (client, connection) =
            connected.map_err(|error| DatabaseError::from_driver("connect", error))?;
        let task = tokio::spawn(async move {
            // How it ended is seen by the statements that were waiting on it.
            let _ = connection.await;
        });
        Ok(Shared {
            client: ClientWrapper::new(client, task),
            stuck: AtomicBool::new(false),
        })
    }

    async fn attempt(
        &self,
        shared: &Shared,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let client = &shared.client;
        let work = pool::rows(
            client,
            &client.statement_cache,
            &self.rules,
            query,
            parameters,
        );
        // One request that left early says nothing about the others on the connection.
        let left_early = AtomicBool::new(false);
        let outcome = self.rules.run(query, &left_early, work).await;
        if matches!(outcome, Err(DatabaseError::Timeout { .. })) && left_early.into_inner() {
            shared.stuck.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl Executor for Reads {
    /// A read that met a connection which had just broken is tried once more on a new one.
    async fn rows(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let shared = self.shared().await?;
        let outcome = self.attempt(&shared, query, parameters).await;
        if matches!(outcome, Err(DatabaseError::Unreachable(_))) {
            let shared = self.shared().await?;
            return self.attempt(&shared, query, parameters).await;
        }
        outcome
    }

    async fn execute(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<u64, DatabaseError> {
        let rows = self.rows(query, parameters).await?;
        Ok(rows.len() as u64)
    }
}
