//! A few connections that short reads share.
//!
//! PostgreSQL answers the statements of one connection in order, and the driver sends the next one without waiting for
//! the answer before it. So many requests can use one connection at once, and what travels together costs one system
//! call at each end and wakes PostgreSQL once. That is several times cheaper than a connection for each request.
//!
//! The price decides what may go this way. A statement waits for those before it: one that waits for a lock, or reads
//! many rows, delays the requests of everybody else. So only what each request needs belongs here, one row by a unique
//! index of tables that are never locked as a whole; every other read takes a connection of the pool
//! ([`Database::reader`](crate::Database::reader)). Each is bounded in time, too. Session state would be seen by others, so nothing sets any. And because a statement only reads
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
    time::{Duration, Instant},
};

use deadpool_postgres::ClientWrapper;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::task::AbortHandle;
use tokio_postgres::{Config, Error, Row, Statement, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::{Instrument, field::Empty};

use crate::{
    DatabaseError, Message, Parameters, ReadExecutor, ReadQuery, connection,
    error::CONNECT,
    limits::{Edition, Health, StatementLimits},
    query::Query,
};

/// How many statements are under way on a connection before the next connection is used as well.
///
/// A few well-filled connections are cheaper than many with little on each.
const PIPELINED: usize = 32;

const READ_ONLY: &str = "SET default_transaction_read_only = on";

/// Connections that short reads share. Each is opened when first needed, and again when it broke.
///
/// It implements [`ReadExecutor`] only: a write through it does not compile.
pub struct ReadPool {
    slots: Vec<Arc<Slot>>,
    next: AtomicUsize,
    opener: Opener,
}

#[derive(Default)]
struct Slot {
    current: RwLock<Option<Arc<Reader>>>,
    /// How many statements are under way.
    under_way: AtomicUsize,
    /// The last attempt to open a connection. There is never more than one under way.
    opening: Mutex<Option<(AbortHandle, Opening)>>,
}

/// An attempt to open a connection, for every request that waits for it.
type Opening = Shared<BoxFuture<'static, Result<Arc<Reader>, DatabaseError>>>;

/// How connections are opened.
#[derive(Clone)]
struct Opener {
    limits: Arc<StatementLimits>,
    config: Config,
    tls: MakeRustlsConnect,
    timeout: Duration,
}

struct Reader {
    client: ClientWrapper,
    opened: Instant,
    prepared: RwLock<Vec<Prepared>>,
    /// A statement on it got no answer in time, so nothing behind it will either; or the server ended the session.
    stuck: AtomicBool,
}

/// A statement that the server knows, and the edition of its text.
struct Prepared {
    query: &'static Query,
    edition: Edition,
    statement: Statement,
}

impl Reader {
    /// The prepared statement, prepared when it is first needed.
    ///
    /// It is found by the query's address, because the driver's cache would hash the whole text for each request.
    async fn prepare(&self, query: &'static Query, edition: Edition) -> Result<Statement, Error> {
        if let Some(statement) = self.find(query, edition) {
            return Ok(statement);
        }
        // In a box, so that it takes no space in the futures of requests that find the statement.
        let text = edition.text(query);
        let preparing = Box::pin(self.client.prepare_typed(&text, query.types));
        let statement = preparing.await?;
        let mut prepared = self
            .prepared
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Another request may have prepared it in the meantime.
        prepared.retain(|known| !std::ptr::eq(known.query, query));
        prepared.push(Prepared {
            query,
            edition,
            statement: statement.clone(),
        });
        Ok(statement)
    }

    fn find(&self, query: &'static Query, edition: Edition) -> Option<Statement> {
        let prepared = self.prepared.read().unwrap_or_else(PoisonError::into_inner);
        let known = prepared
            .iter()
            .find(|known| std::ptr::eq(known.query, query))?;
        (known.edition == edition).then(|| known.statement.clone())
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
    fn usable(&self, limits: &StatementLimits) -> Option<Arc<Reader>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current
            .as_ref()
            .filter(|reader| reader.is_usable() && !limits.is_forgotten(reader.opened))
            .cloned()
    }

    fn replace(&self, reader: &Arc<Reader>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::clone(reader));
    }

    /// The attempt that is under way, or a new one, in a task of its own.
    fn opening(self: &Arc<Self>, opener: &Opener) -> Opening {
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked of the task: when all who waited have left, nobody looks at what came of it.
        if let Some((_, under_way)) = opening.as_ref().filter(|(task, _)| !task.is_finished()) {
            return under_way.clone();
        }
        let (slot, opener) = (Arc::clone(self), opener.clone());
        let task = tokio::spawn(async move {
            // The last attempt may have succeeded after the caller found no connection.
            if let Some(reader) = slot.usable(&opener.limits) {
                return Ok(reader);
            }
            let reader = Arc::new(opener.open().await?);
            slot.replace(&reader);
            Ok(reader)
        });
        let handle = task.abort_handle();
        let attempt = async { task.await.unwrap_or(Err(DatabaseError::Unreachable(None))) };
        let attempt = attempt.boxed().shared();
        *opening = Some((handle, attempt.clone()));
        attempt
    }
}

impl Opener {
    async fn open(&self) -> Result<Reader, DatabaseError> {
        let opened = tokio::time::timeout(self.timeout, self.connect()).await;
        let client = opened.map_err(|_| DatabaseError::ConnectTimeout)?;
        Ok(Reader {
            client: client.map_err(|error| DatabaseError::from_driver(CONNECT, error))?,
            opened: Instant::now(),
            prepared: RwLock::default(),
            stuck: AtomicBool::new(false),
        })
    }

    async fn connect(&self) -> Result<ClientWrapper, Error> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        let task = tokio::spawn(async move {
            // How it ended is reported to the statements that were waiting on it.
            let _ = connection.await;
        });
        let client = ClientWrapper::new(client, task);
        // A pooler would hand a session that is read-only on to whoever writes.
        if self.limits.local.is_none() {
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
                limits,
                config,
                tls,
                timeout,
            },
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
        if let Some(reader) = slot.usable(&self.opener.limits) {
            return Ok(reader);
        }
        // The span belongs to the request that waits; the attempt itself is part of no request.
        let span = tracing::info_span!(
            "connect",
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = "postgresql",
            db.namespace = self.opener.limits.namespace,
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
            self.opener.limits.metrics.observe_failure(CONNECT, CONNECT);
        }
        outcome
    }

    async fn attempt(
        &self,
        reader: &Reader,
        query: &'static Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let limits = &self.opener.limits;
        let work = async {
            let mut prepared = None;
            if limits.prepared {
                prepared = Some(reader.prepare(query, limits.edition()).await?);
            }
            connection::rows(&reader.client, prepared.as_ref(), query, parameters).await
        };
        // Counted for this request alone: one that goes away says nothing about the connection.
        let health = Health::default();
        let outcome = limits.run(query, &health, pin!(work)).await;
        if !health.is_good() {
            reader.stuck.store(true, Ordering::Relaxed);
        }
        outcome.map_err(|error| match error {
            // The session is read-only because it was asked to be: the statement wrote through a function.
            DatabaseError::ReadOnly { query } => DatabaseError::Failed {
                query,
                state: SqlState::READ_ONLY_SQL_TRANSACTION.code().to_owned(),
                message: Message("a statement of the read pool tried to write".to_owned()),
            },
            error => error,
        })
    }
}

impl ReadExecutor for ReadPool {
    /// Runs a statement. One that met a connection which had just broken is run once more on a new one; so is one that lost a
    /// conflict, or whose prepared statement was no longer valid.
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
        match outcome {
            Err(error)
                if matches!(error, DatabaseError::Unreachable(_)) || error.is_refused_whole() =>
            {
                let reader = self.reader(slot).await?;
                self.attempt(&reader, query, parameters).await
            }
            outcome => outcome,
        }
    }
}
