//! The handle on a database, and what its parts are made from.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::{Client, Config};

use crate::{
    Connection, ConnectionTarget, DatabaseError, DatabaseMetrics, PooledReader, Pooler,
    PostgresOptions, ReadExecutor, ReadPool, ReadQuery, TlsError, Transaction,
    error::CONNECT,
    limits::{LocalLimits, StatementLimits},
    tls,
};

/// How much longer than the server's own statement timeout the client waits for the answer.
const GRACE: Duration = Duration::from_millis(500);

/// How long a statement of a probe may take: less than a second, the usual timeout of those who probe.
const PROBE_TIMEOUT: Duration = Duration::from_millis(800);

/// How long one of them may wait for a lock. The next probe waits behind it.
const PROBE_LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// A handle on the database; clones share it. Nothing connects until the first statement.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    read_pool: Arc<ReadPool>,
    probe: Arc<ReadPool>,
    limits: Arc<StatementLimits>,
    /// The edition whose statements the pool's connections may have prepared.
    edition: Arc<AtomicUsize>,
}

static PING: ReadQuery = ReadQuery::new("ping", "SELECT 1 AS one", &[]);

impl Database {
    /// Prepares the pool and the read connections.
    ///
    /// # Errors
    ///
    /// When the certificates to trust cannot be read.
    ///
    /// # Panics
    ///
    /// When `read_connections` is zero.
    pub fn new(options: &PostgresOptions, metrics: DatabaseMetrics) -> Result<Self, TlsError> {
        assert!(
            options.read_connections > 0,
            "reads need at least one connection"
        );
        let tls = tls::connector(&options.target)?;
        let limits = Arc::new(StatementLimits {
            metrics,
            patience: options.statement_timeout + GRACE,
            slow: options.slow_query,
            prepared: options.prepared_statements,
            local: (options.pooler == Pooler::Transaction)
                .then(|| LocalLimits::new(options.statement_timeout)),
            namespace: options.target.database_name().to_owned(),
            edition: Arc::default(),
            read_only_since: Arc::default(),
        });
        let config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let timeout = Some(options.pool_timeout);
        let manager = Manager::from_config(session(options), tls.clone(), config);
        let pool = Pool::builder(manager)
            .max_size(options.pool_size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(timeout)
            .create_timeout(timeout)
            .recycle_timeout(timeout)
            .build()
            .expect("a runtime is specified above");
        let read_pool = ReadPool::new(
            options.read_connections,
            session(options),
            tls.clone(),
            options.pool_timeout,
            Arc::clone(&limits),
        );
        let probe_limits = StatementLimits {
            patience: PROBE_TIMEOUT.min(limits.patience),
            ..StatementLimits::clone(&limits)
        };
        let probe = ReadPool::new(
            1,
            probe_session(options),
            tls,
            options.pool_timeout,
            Arc::new(probe_limits),
        );
        Ok(Self {
            pool,
            read_pool: Arc::new(read_pool),
            probe: Arc::new(probe),
            limits,
            edition: Arc::default(),
        })
    }

    /// A connection of the pool, for single write statements.
    pub async fn connection(&self) -> Result<Connection, DatabaseError> {
        let started = Instant::now();
        let client = self.client().await;
        self.limits
            .metrics
            .wait
            .observe(started.elapsed().as_secs_f64());
        match client {
            Ok(client) => Ok(Connection::new(client, Arc::clone(&self.limits))),
            Err(error) => {
                self.limits.metrics.observe_failure(CONNECT, CONNECT);
                Err(error)
            }
        }
    }

    /// A connection of the pool that may lead to a server which takes writes, without statements of an older edition.
    async fn client(&self) -> Result<Object, DatabaseError> {
        let edition = self.limits.edition.load(Ordering::Relaxed);
        if self.edition.swap(edition, Ordering::Relaxed) != edition {
            self.pool.manager().statement_caches.clear();
        }
        loop {
            let client = self.pool.get().await?;
            if !self.limits.is_forgotten(Object::metrics(&client).created) {
                return Ok(client);
            }
            drop(Object::take(client));
        }
    }

    /// Begins a transaction on a connection of the pool. It is rolled back unless it is committed.
    ///
    /// Do not ask the pool for a second connection while holding one: enough requests that do so at once wait for each
    /// other until the pool timeout.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        self.connection().await?.begin().await
    }

    /// Reads on connections of the pool, each statement on one of its own: for lists, and for every other read that is
    /// not so short and so frequent that it belongs into the [read pool](Database::read_pool).
    #[must_use]
    pub fn reader(&self) -> PooledReader<'_> {
        PooledReader::new(self)
    }

    /// The connections that the shortest and most frequent reads share: one row by a unique index, for each request.
    ///
    /// Whatever waits there, for a lock or because it reads many rows, keeps every request behind it waiting.
    #[must_use]
    pub fn read_pool(&self) -> &ReadPool {
        &self.read_pool
    }

    /// A connection of its own for those who look whether the database is well: neither a request waits for a probe,
    /// nor a probe for requests. Its statements wait 0.2 s for a lock and take 0.8 s at most.
    #[must_use]
    pub fn probe(&self) -> &ReadPool {
        &self.probe
    }

    /// Runs `SELECT 1` on the connection for probes and returns how long that took.
    pub async fn ping(&self) -> Result<Duration, DatabaseError> {
        let started = Instant::now();
        self.probe.rows(&PING, &[]).await?;
        Ok(started.elapsed())
    }

    /// Sets the gauges of the pool; call it before the registry is gathered.
    pub fn observe_pool(&self) {
        let status = self.pool.status();
        let busy = status.size - status.available.min(status.size);
        for (state, count) in [
            ("idle", status.available),
            ("in_use", busy),
            ("waiting", status.waiting),
            ("max", status.max_size),
        ] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.limits
                .metrics
                .connections
                .with_label_values(&[state])
                .set(count);
        }
    }

    /// Closes the pool: idle connections end now, the others when they are returned.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// How often the server looks, while a statement runs, whether the connection is still there. Otherwise the statements of
/// requests that were given up would run on to their limit, beside those of as many new connections. Servers on Windows
/// know no such check: there `options=-c client_connection_check_interval=0` in the address turns it off.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The driver's configuration, with the time limits that every session sets.
///
/// A pooler in transaction mode refuses start-up options, or hands them on to other programs' transactions.
fn session(options: &PostgresOptions) -> Config {
    let mut config = options.target.config.clone();
    if options.pooler == Pooler::Transaction {
        return config;
    }
    let limit = options.statement_timeout.as_millis();
    let own = config.get_options().unwrap_or_default();
    let text = format!(
        "-c client_connection_check_interval={} {own} -c statement_timeout={limit} \
         -c idle_in_transaction_session_timeout={}",
        CHECK_INTERVAL.as_millis(),
        limit * 2
    );
    config.options(text);
    config
}

/// The same for probes. Behind a pooler in transaction mode only the client's patience bounds the wait for a lock.
fn probe_session(options: &PostgresOptions) -> Config {
    let mut config = session(options);
    if options.pooler != Pooler::Transaction {
        let own = config.get_options().unwrap_or_default();
        let lock_timeout = PROBE_LOCK_TIMEOUT.as_millis();
        let text = format!("{own} -c lock_timeout={lock_timeout}");
        config.options(text);
    }
    config
}

/// Why a single connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address accepts connections, but PostgreSQL did not answer in time.
    #[error("it accepts connections, but does not answer")]
    NoAnswer,
    /// The driver failed to connect.
    #[error(transparent)]
    Driver(#[from] tokio_postgres::Error),
}

/// Opens a connection outside the pool, for migrations and checks. It has no statement timeout.
///
/// `within` bounds the whole attempt: the driver's own limit ends when the address is reached, and a server that is
/// frozen accepts connections.
pub async fn connect(target: &ConnectionTarget, within: Duration) -> Result<Client, ConnectError> {
    let tls = tls::connector(target)?;
    let connected = tokio::time::timeout(within, target.config.connect(tls)).await;
    let (client, connection) = connected.map_err(|_| ConnectError::NoAnswer)??;
    tokio::spawn(async move {
        // How it ended is reported by the next statement of the client.
        let _ = connection.await;
    });
    Ok(client)
}
