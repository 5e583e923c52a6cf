//! The state of the database and its schema, for `/health`.

use std::time::Duration;

use chassis_postgres::{Comparison, Database};

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
    /// Checks the database.
    pub(super) async fn of(database: Database) -> Self {
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
