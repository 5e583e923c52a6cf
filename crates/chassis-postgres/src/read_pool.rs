//! A few connections that all reads share.
//!
//! PostgreSQL answers the statements of one connection in order, and the driver sends the next one without waiting for
//! the answer before it. So many requests can use one connection at once, and what travels together costs one system
//! call at each end and wakes PostgreSQL once. That is several times cheaper than a connection for each request.
//!
//! The price decides what may go this way. A statement waits for those before it, so only short ones belong here, and
//! each is bounded in time. Session state would be seen by others, so nothing sets any. And because a statement only reads
//! ([`ReadQuery`] makes sure of that), one that met a connection which had just broken is simply run again.
//!
//! # The life of a shared connection
//!
//! Each [`Slot`] holds at most one. It is opened by the first statement that needs it, in a task of its own: requests
//! wait for the attempt and may give up, but the attempt goes on and the next request finds it further along. If it were
//! part of a request, a crowd of requests with little time left would cut off one attempt after another.
//!
//! A connection is replaced when it is closed, or *stuck*: a statement on it got no answer in time, so nothing behind that
//! statement will get one either. A request that went away says nothing about the connection, whose answer to it is read
//! and dropped.

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
    DatabaseError, Parameters, ReadExecutor, ReadQuery, connection, limits::StatementLimits,
    query::Query,
};

/// How many statements are under way on a connection before the next connection is used as well.
///
/// A few well-filled connections are cheaper than many with little on each.
const PIPELINED: usize = 32;

const READ_ONLY: &str = "SET default_transaction_read_only = on";

/// Connections that all reads share. Each is opened when first needed, and again when it broke.
///
/// It implements [`ReadExecutor`] only: a write through it does not compile.
pub struct ReadPool {
    slots: Vec<Arc<Slot>>,
    next: AtomicUsize,
    opener: Opener,
    limits: Arc<StatementLimits>,
}

#[derive(Default)]
struct Slot {
    current: RwLock<Option<Arc<Reader>>>,
    /// How many statements are under way.
    under_way: AtomicUsize,
    /// The last attempt to open a connection. There is never more than one under way.
    opening: Mutex<Option<Opening>>,
}

/// An attempt to open a connection, for every request that waits for it.
type Opening = Shared<BoxFuture<'static, Result<Arc<Reader>, DatabaseError>>>;

/// How connections are opened.
#[derive(Clone)]
struct Opener {
    /// Whether sessions are made read-only; a pooler would mix such sessions up with others.
    read_only: bool,
    config: Config,
    tls: MakeRustlsConnect,
    timeout: Duration,
}

struct Reader {
    client: ClientWrapper,
    prepared: RwLock<Vec<(&'static Query, Statement)>>,
    /// A statement on it got no answer in time: nothing behind it will either.
    stuck: AtomicBool,
}

impl Reader {
    /// The prepared statement, prepared when it is first needed.
    ///
    /// It is found by the query's address, because the driver's cache would hash the whole text for each request.
    async fn prepare(&self, query: &'static Query) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.find(query) {
            return Ok(statement);
        }
        // In a box, so that it takes no space in the futures of requests that find the statement.
        let preparing = Box::pin(self.client.prepare_typed(query.sql, query.types));
        let statement = preparing.await?;
        let mut prepared = self
            .prepared
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Another request may have prepared it in the meantime.
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

    /// The attempt that is under way, or a new one, in a task of its own.
    fn opening(self: &Arc<Self>, opener: &Opener) -> Opening {
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = opening.as_ref().filter(|last| last.peek().is_none()) {
            return under_way.clone();
        }
        let (slot, opener) = (Arc::clone(self), opener.clone());
        let task = tokio::spawn(async move {
            // The last attempt may have succeeded after the caller found no connection.
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
        let client = opened.map_err(|_| DatabaseError::ConnectTimeout)?;
        Ok(Reader {
            client: client.map_err(|error| DatabaseError::from_driver("connect", error))?,
            prepared: RwLock::default(),
            stuck: AtomicBool::new(false),
        })
    }

    async fn connect(&self) -> Result<ClientWrapper, tokio_postgres::Error> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        let task = tokio::spawn(async move {
            // How it ended is reported to the statements that were waiting on it.
            let _ = connection.await;
        });
        let client = ClientWrapper::new(client, task);
        if self.read_only {
            // Sent now and not as a startup option: a session that begins as read-only looks
            // like one of a standby, which `target_session_attrs=read-write` skips.
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

    /// The first connection below the limit, or, when all are busy, the next in turn.
    fn slot(&self) -> &Arc<Slot> {
        let has_capacity = |slot: &&Arc<Slot>| slot.under_way.load(Ordering::Relaxed) < PIPELINED;
        self.slots.iter().find(has_capacity).unwrap_or_else(|| {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            &self.slots[turn % self.slots.len()]
        })
    }

    async fn reader(&self, slot: &Arc<Slot>) -> Result<Arc<Reader>, DatabaseError> {
        if let Some(reader) = slot.usable() {
            return Ok(reader);
        }
        // The span belongs to the request that waits; the attempt itself is part of no request.
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
            .unwrap_or(Err(DatabaseError::ConnectTimeout));
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
        let work = connection::rows(
            client,
            reader.prepare(query),
            &self.limits,
            query,
            parameters,
        );
        // Counted for this request alone: one that goes away says nothing about the connection.
        let unanswered = AtomicUsize::new(0);
        let outcome = self.limits.run(query, &unanswered, pin!(work)).await;
        if matches!(outcome, Err(DatabaseError::Timeout { .. })) && unanswered.into_inner() > 0 {
            reader.stuck.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl ReadExecutor for ReadPool {
    /// Runs a statement; one that met a connection which had just broken is run once more on a new one.
    async fn rows(
        &self,
        query: &'static ReadQuery,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let query = &query.0;
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
}
