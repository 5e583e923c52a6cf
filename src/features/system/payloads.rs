//! Probes and facts as JSON.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::service::{Facts, Health};
use crate::telemetry::{REVISION, VERSION};

/// A sign of life, or of readiness.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(super) struct StatusView {
    #[schema(example = "ok")]
    pub(super) status: &'static str,
}

/// How the service and what it depends on are doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(super) struct HealthView {
    /// `ok`, or `unavailable` when requests cannot be served.
    status: &'static str,
    version: &'static str,
    checks: ChecksView,
}

/// The single checks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthChecks)]
pub(super) struct ChecksView {
    database: DatabaseView,
    migrations: MigrationsView,
}

/// Whether the database answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DatabaseCheck)]
pub(super) struct DatabaseView {
    /// `ok` or `unavailable`.
    status: &'static str,
    /// How long it took; null when it did not answer.
    latency_ms: Option<f64>,
}

/// Whether the schema is the one this version works with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MigrationsCheck)]
pub(super) struct MigrationsView {
    /// `ok`, `pending`, `divergent`, or `unknown` when the database did not answer.
    status: &'static str,
    applied: Option<usize>,
    pending: Option<usize>,
}

impl From<&Health> for HealthView {
    fn from(health: &Health) -> Self {
        let latency = health.latency.map(|latency| latency.as_secs_f64());
        let schema = match &health.schema {
            None => "unknown",
            Some(schema) if !schema.agrees => "divergent",
            Some(schema) if schema.pending > 0 => "pending",
            Some(_) => "ok",
        };
        let working = |good: bool| if good { "ok" } else { "unavailable" };
        Self {
            status: working(health.is_good()),
            version: VERSION,
            checks: ChecksView {
                database: DatabaseView {
                    status: working(health.latency.is_some()),
                    latency_ms: latency.map(|seconds| (seconds * 100_000.0).round() / 100.0),
                },
                migrations: MigrationsView {
                    status: schema,
                    applied: health.schema.map(|schema| schema.applied),
                    pending: health.schema.map(|schema| schema.pending),
                },
            },
        }
    }
}

/// What is running.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Info)]
pub(super) struct InfoView {
    name: String,
    version: &'static str,
    git_revision: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    uptime_seconds: i64,
}

impl From<Facts> for InfoView {
    fn from(facts: Facts) -> Self {
        Self {
            name: facts.name,
            version: VERSION,
            git_revision: REVISION,
            started_at: facts.started_at,
            uptime_seconds: facts.uptime.whole_seconds(),
        }
    }
}
