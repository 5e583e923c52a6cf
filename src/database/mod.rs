//! PostgreSQL: connections, statements, migrations and what can go wrong with them.
//!
//! SQL itself is written by hand in the rooms' repositories. Here is what they
//! run it with: a [`Database`] hands out [`Connection`]s and shared [`Reads`],
//! both of which are [`Executor`]s. Every statement is measured, traced and
//! bounded in time on the way.

mod error;
pub mod grants;
mod metrics;
pub mod migrations;
mod pool;
mod reads;
mod settings;
mod statement;
mod tls;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::{Client, Config};

use self::statement::Rules;
pub use self::{
    error::{ConstraintKind, DatabaseError},
    metrics::DatabaseMetrics,
    pool::{Connection, Transaction},
    reads::Reads,
    settings::{DatabaseSettings, Target, TlsMode},
    statement::{Executor, Parameters, Query},
};

/// How much longer than the server's own limit an answer is waited for.
const GRACE: Duration = Duration::from_millis(500);

/// A handle on the database; clones share it. Nothing connects until something is asked.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    reads: Arc<Reads>,
    rules: Arc<Rules>,
}

static PING: Query = Query {
    name: "ping",
    sql: "SELECT 1 AS one",
    types: &[],
};

impl Database {
    /// Prepares pool and readers.
    ///
    /// # Errors
    ///
    /// When the certificates to trust cannot be read.
    pub fn new(settings: &DatabaseSettings, metrics: DatabaseMetrics) -> anyhow::Result<Self> {
        let tls = tls::connector(&settings.target)?;
        let rules = Arc::new(Rules {
            metrics,
            patience: settings.statement_timeout + GRACE,
            slow: settings.slow_query,
            prepared: settings.prepared_statements,
            namespace: settings.target.database_name().to_owned(),
        });
        let config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let timeout = Some(settings.pool_timeout);
        let manager = Manager::from_config(session(settings), tls.clone(), config);
        let pool = Pool::builder(manager)
            .max_size(settings.pool_size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(timeout)
            .create_timeout(timeout)
            .recycle_timeout(timeout)
            .build()?;
        let reads = Reads::new(
            settings.read_connections,
            session(settings),
            tls,
            settings.pool_timeout,
            Arc::clone(&rules),
        );
        Ok(Self {
            pool,
            reads: Arc::new(reads),
            rules,
        })
    }

    /// A connection of the pool, for a transaction.
    pub async fn connection(&self) -> Result<Connection, DatabaseError> {
        let started = Instant::now();
        let client = self.pool.get().await;
        self.rules
            .metrics
            .wait
            .observe(started.elapsed().as_secs_f64());
        match client {
            Ok(client) => Ok(Connection::new(client, Arc::clone(&self.rules))),
            Err(error) => {
                self.rules.metrics.observe_failure("connect", "connect");
                Err(error.into())
            }
        }
    }

    /// The connections that reads share.
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Asks for a sign of life, and says how long it took.
    pub async fn ping(&self) -> Result<Duration, DatabaseError> {
        let started = Instant::now();
        self.reads.rows(&PING, &[]).await?;
        Ok(started.elapsed())
    }

    /// Brings the gauges of the pool up to date, before they are read.
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
            self.rules
                .metrics
                .connections
                .with_label_values(&[state])
                .set(count);
        }
    }

    /// Closes the pool: connections end as they come back.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// The driver's settings, with what every session of ours sets.
///
/// A pooler in transaction mode refuses or mixes up session settings, so
/// behind one (`DB_PREPARED_STATEMENTS=off`) only our own patience bounds a statement.
fn session(settings: &DatabaseSettings) -> Config {
    let mut config = settings.target.config.clone();
    if !settings.prepared_statements {
        return config;
    }
    let limit = settings.statement_timeout.as_millis();
    let own = config.get_options().unwrap_or_default();
    let options = format!(
        "{own} -c statement_timeout={limit} -c idle_in_transaction_session_timeout={}",
        limit * 2
    );
    config.options(options.trim());
    config
}

/// A connection of its own, for migrations and checks.
///
/// # Errors
///
/// When the target cannot be reached within this time, or its certificates cannot be read.
pub async fn connect(target: &Target, within: Duration) -> anyhow::Result<Client> {
    let tls = tls::connector(target)?;
    // The driver's own limit ends when the address is reached: what answers there may be frozen.
    let connected = tokio::time::timeout(within, target.config.connect(tls)).await;
    let (client, connection) =
        connected.context("it accepts connections, but does not answer")??;
    tokio::spawn(async move {
        // How it ended is seen by whoever waits on the client.
        let _ = connection.await;
    });
    Ok(client)
}
