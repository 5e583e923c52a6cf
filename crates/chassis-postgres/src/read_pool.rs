//! A few connections that all reads share.
//!
//! PostgreSQL answers the statements of one connection in order, and the
//! driver sends them without waiting in between, so many requests can use one
//! connection at once. That is several times cheaper than handing a connection
//! to each. Only single reads go this way; a transaction needs the pool.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::ClientWrapper;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio_postgres::{Config, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::{Instrument, field::Empty};

use crate::{
    error::DatabaseError,
    pool,
    statement::{Executor, Parameters, Query, StatementLimits},
};

/// How many statements are on their way on a connection before the next one is used, too.
///
/// What travels together costs one system call at each end and wakes PostgreSQL once, so a few
/// well-filled connections are cheaper than all of them with little on each
/// (`loadtest/bench/compare` with another number here tells).
const PIPELINED: usize = 32;

const READ_ONLY: &str = "SET default_transaction_read_only = on";

/// The shared connections. Each is opened when first needed, and again when it broke.
pub struct ReadPool {
    slots: Vec<Arc<Slot>>,
    next: AtomicUsize,
    opener: Opener,
    limits: Arc<StatementLimits>,
}

#[derive(Default)]
struct Slot {
    current: RwLock<Option<Arc<Reader>>>,
    /// How many statements are on their way.
    under_way: AtomicUsize,
    /// The last attempt to open one. There is never more than one under way.
    opening: Mutex<Option<Opening>>,
}

/// An attempt to open a connection, for everyone who waits for it.
type Opening = Shared<BoxFuture<'static, Result<Arc<Reader>, DatabaseError>>>;

/// How connections are opened.
#[derive(Clone)]
struct Opener {
    /// Whether sessions are made read only; a pooler would mix such sessions up with others.
    read_only: bool,
    config: Config,
    tls: MakeRustlsConnect,
    timeout: Duration,
}

struct Reader {
    client: ClientWrapper,
    prepared: RwLock<Vec<(&'static Query, Statement)>>,
    /// A statement on it never ended: nothing behind it will either.
    stuck: AtomicBool,
}

impl Reader {
    /// The statement, prepared when it is first asked for.
    ///
    /// The driver's cache would take the hash of the whole text for each request.
    async fn prepare(&self, query: &'static Query) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.find(query) {
            return Ok(statement);
        }
        // In a box, so that it takes no room in the requests that find the statement.
        let preparing = Box::pin(self.client.prepare_typed(query.sql, query.types));
        let statement = preparing.await?;
        let mut prepared = self
            .prepared
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have come first.
        prepared.retain(|(known, _)| !std::ptr::eq(*known, query));
        prepared.push((query, statement.clone()));
        Ok(statement)
    }

    fn find(&self, query: &'static Query) -> Option<Statement> {
        let prepared = self.prepared.read().unwrap_or_else(PoisonError::into_inner);
        let mut prepared = prepared.iter();
        let (_, statement) = prepared.find(|(known, _)| std::ptr::eq(*known, query))?;
        Some(statement.clone())
    }

    fn is_usable(&self) -> bool {
        !self.client.is_closed() && !self.stuck.load(Ordering::Relaxed)
    }
}

/// A statement that is under way until this is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn on(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slot {
    fn usable(&self) -> Option<Arc<Reader>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current
            .as_ref()
            .filter(|reader| reader.is_usable())
            .cloned()
    }

    fn replace(&self, reader: &Arc<Reader>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::clone(reader));
    }

    /// The attempt that is under way, or a new one.
    ///
    /// It is a task of its own: whoever asked for it may give up waiting, but
    /// the next one finds it further on. Were it part of a request, a crowd of
    /// requests with little time left would cut off one attempt after the other.
    fn opening(self: &Arc<Self>, opener: &Opener) -> Opening {
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = opening.as_ref().filter(|last| last.peek().is_none()) {
            return under_way.clone();
        }
        let (slot, opener) = (Arc::clone(self), opener.clone());
        let task = tokio::spawn(async move {
            // Somebody may have looked before the last attempt succeeded, and asked after it.
            if let Some(reader) = slot.usable() {
                return Ok(reader);
            }
            let reader = Arc::new(opener.open().await?);
            slot.replace(&reader);
            Ok(reader)
        });
        let attempt = async { task.await.unwrap_or(Err(DatabaseError::Unreachable(None))) };
        opening.insert(attempt.boxed().shared()).clone()
    }
}

impl Opener {
    async fn open(&self) -> Result<Reader, DatabaseError> {
        let opened = tokio::time::timeout(self.timeout, self.connect()).await;
        let client = opened.map_err(|_| DatabaseError::Unreachable(None))?;
        Ok(Reader {
            client: client.map_err(|error| DatabaseError::from_driver("connect", error))?,
            prepared: RwLock::default(),
            stuck: AtomicBool::new(false),
        })
    }

    async fn connect(&self) -> Result<ClientWrapper, tokio_postgres::Error> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        let task = tokio::spawn(async move {
            // How it ended is seen by the statements that were waiting on it.
            let _ = connection.await;
        });
        let client = ClientWrapper::new(client, task);
        if self.read_only {
            // Said now and not when connecting: a session that begins as read only looks
            // like one of a standby, which `target_session_attrs=read-write` passes by.
            client.batch_execute(READ_ONLY).await?;
        }
        Ok(client)
    }
}

impl ReadPool {
    pub(crate) fn new(
        connections: usize,
        config: Config,
        tls: MakeRustlsConnect,
        timeout: Duration,
        limits: Arc<StatementLimits>,
    ) -> Self {
        Self {
            slots: (0..connections).map(|_| Arc::default()).collect(),
            next: AtomicUsize::new(0),
            opener: Opener {
                read_only: limits.prepared,
                config,
                tls,
                timeout,
            },
            limits,
        }
    }

    /// The first connection with room, or, when all are busy, the next in turn.
    fn slot(&self) -> &Arc<Slot> {
        let room = |slot: &&Arc<Slot>| slot.under_way.load(Ordering::Relaxed) < PIPELINED;
        self.slots.iter().find(room).unwrap_or_else(|| {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            &self.slots[turn % self.slots.len()]
        })
    }

    async fn reader(&self, slot: &Arc<Slot>) -> Result<Arc<Reader>, DatabaseError> {
        if let Some(reader) = slot.usable() {
            return Ok(reader);
        }
        // The span of who waits for it: the attempt itself belongs to nobody's request.
        let span = tracing::info_span!(
            "connect",
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = "postgresql",
            db.namespace = self.limits.namespace,
            db.operation.name = "connect",
            error.r#type = Empty,
        );
        let opened = tokio::time::timeout(self.opener.timeout, slot.opening(&self.opener));
        let outcome = opened
            .instrument(span.clone())
            .await
            .unwrap_or(Err(DatabaseError::Unreachable(None)));
        if let Err(error) = &outcome {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", error.kind());
            self.limits.metrics.observe_failure("connect", "connect");
        }
        outcome
    }

    async fn attempt(
        &self,
        reader: &Reader,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let client = &reader.client;
        let work = pool::rows(
            client,
            reader.prepare(query),
            &self.limits,
            query,
            parameters,
        );
        // One request that left early says nothing about the others on the connection.
        let left_early = AtomicBool::new(false);
        let outcome = self.limits.run(query, &left_early, pin!(work)).await;
        if matches!(outcome, Err(DatabaseError::Timeout { .. })) && left_early.into_inner() {
            reader.stuck.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl Executor for ReadPool {
    /// A read that met a connection which had just broken is tried once more on a new one.
    async fn rows(
        &self,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let slot = self.slot();
        let _counted = Counted::on(&slot.under_way);
        let reader = self.reader(slot).await?;
        let outcome = self.attempt(&reader, query, parameters).await;
        if matches!(outcome, Err(DatabaseError::Unreachable(_))) {
            let reader = self.reader(slot).await?;
            return self.attempt(&reader, query, parameters).await;
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
