//! What the endpoints of this feature share.

use bytes::Bytes;
use chassis_postgres::Database;
use prometheus::{Registry, TextEncoder};
use time::OffsetDateTime;

use super::{
    health::Health, lifecycle::Lifecycle, metrics_text::MetricsText, shared_check::SharedCheck,
};
use crate::shared::clock::Clock;

/// Access to the state of this replica; clones share it.
#[derive(Clone)]
pub struct Operations {
    pub(super) database: Database,
    pub(super) health: SharedCheck<Health>,
    /// Whether the database answers.
    pub(super) ping: SharedCheck<bool>,
    pub(super) lifecycle: Lifecycle,
    registry: Registry,
    metrics_text: MetricsText,
    pub(super) clock: Clock,
    pub(super) service_name: String,
    pub(super) started_at: OffsetDateTime,
}

impl Operations {
    /// Reports on this database and this registry. The time of the call is reported as the start of the process.
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
            health: SharedCheck::default(),
            ping: SharedCheck::default(),
            database,
            lifecycle,
            registry,
            metrics_text: MetricsText::default(),
            clock,
            service_name,
            started_at,
        }
    }

    /// The same as [`Operations::metrics`], for clients that may not take it: see `metrics_text.rs`.
    pub(super) fn metrics_text(&self) -> Result<Bytes, prometheus::Error> {
        self.metrics_text.get(|| self.metrics())
    }

    /// All metrics in Prometheus' text format, with the state of the connection pool at this moment.
    pub fn metrics(&self) -> Result<String, prometheus::Error> {
        self.database.observe_pool();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
