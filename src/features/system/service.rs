//! What operators ask, answered.

use std::time::Duration;

use prometheus::{Registry, TextEncoder};
use time::OffsetDateTime;

use super::readiness::Lifecycle;
use crate::{
    clock::Clock,
    database::{Comparison, Database, DatabaseError},
    migrations::MIGRATIONS,
};

/// How long a probe waits for the database.
const PATIENCE: Duration = Duration::from_millis(900);

/// Probes, facts and metrics of this replica.
#[derive(Clone)]
pub struct System {
    database: Database,
    lifecycle: Lifecycle,
    registry: Registry,
    clock: Clock,
    service_name: String,
    started_at: OffsetDateTime,
}

/// What a look at the database found.
#[derive(Debug)]
pub struct Health {
    /// How long it took to answer, when it did.
    pub latency: Option<Duration>,
    /// How its schema compares with this program, when it could be read.
    pub schema: Option<Comparison>,
}

impl Health {
    /// Whether requests can be served.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.latency.is_some() && self.schema.as_ref().is_some_and(Comparison::is_current)
    }
}

/// What is running.
#[derive(Debug)]
pub struct Facts {
    /// What the service calls itself.
    pub name: String,
    /// When this replica started.
    pub started_at: OffsetDateTime,
    /// How long ago that is.
    pub uptime: time::Duration,
}

impl System {
    /// Looks at this database and this registry.
    #[must_use]
    pub fn new(
        database: Database,
        lifecycle: Lifecycle,
        registry: Registry,
        clock: Clock,
        service_name: String,
    ) -> Self {
        let started_at = clock.now();
        Self {
            database,
            lifecycle,
            registry,
            clock,
            service_name,
            started_at,
        }
    }

    /// Whether this replica can take traffic now. Answers within a second.
    pub async fn is_ready(&self) -> bool {
        if !self.lifecycle.is_serving() {
            return false;
        }
        let ping = tokio::time::timeout(PATIENCE, self.database.ping());
        matches!(ping.await, Ok(Ok(_)))
    }

    /// Looks closer, for a person. Answers within a second.
    pub async fn health(&self) -> Health {
        let look = async {
            let latency = self.database.ping().await?;
            let schema = MIGRATIONS.compare_with(self.database.read_pool()).await?;
            Ok::<_, DatabaseError>((latency, schema))
        };
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok((latency, schema))) => Health {
                latency: Some(latency),
                schema: Some(schema),
            },
            Ok(Err(_)) | Err(_) => Health {
                latency: None,
                schema: None,
            },
        }
    }

    /// What is running, and since when.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            name: self.service_name.clone(),
            started_at: self.started_at,
            uptime: self.clock.now() - self.started_at,
        }
    }

    /// All metrics in the text format of Prometheus.
    pub fn metrics(&self) -> Result<String, prometheus::Error> {
        self.database.observe_pool();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
