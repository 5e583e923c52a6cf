//! `GET /live`, `GET /ready`, `GET /health`: what load balancers, orchestrators and people ask.
//!
//! `/live` answers as long as the process does: an orchestrator restarts the process when it fails,
//! and a restart does not repair a database. `/ready` fails while the database is out of reach and
//! while the process drains, so that a load balancer sends traffic elsewhere. `/health` shows a
//! person which of the dependencies is the reason. The latter two wait for the database for less
//! than a second, the usual timeout of a probe, and on a connection of their own: no request waits
//! for them, nor they for a request.

use std::time::Duration;

use chassis_http::{Endpoint, get, json, public, schema};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::super::{health::Health, state::Operations};
use crate::program::VERSION;

/// How long a probe waits for the database.
const DATABASE_TIMEOUT: Duration = Duration::from_millis(900);

/// The answer of `/live` and `/ready`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
struct StatusView {
    #[schema(example = "ok")]
    status: &'static str,
}

/// The state of the service and of what it depends on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthView {
    /// `ok`, or `unavailable` when requests cannot be served.
    status: &'static str,
    version: &'static str,
    checks: ChecksView,
}

/// The single checks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthChecks)]
struct ChecksView {
    database: DatabaseView,
    migrations: MigrationsView,
}

/// Whether the database answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DatabaseCheck)]
struct DatabaseView {
    /// `ok` or `unavailable`.
    status: &'static str,
    /// Round trip of a statement in milliseconds; null when the database did not answer.
    latency_ms: Option<f64>,
}

/// Whether the schema is the one this version works with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MigrationsCheck)]
struct MigrationsView {
    /// `ok`, `pending`, `divergent`, or `unknown` when the database did not answer.
    status: &'static str,
    applied: Option<usize>,
    pending: Option<usize>,
}

pub(super) fn live() -> Endpoint {
    get("/live", "Say whether the process runs", public())
        .probe()
        .responds::<StatusView>(StatusCode::OK)
        .handler(handle_live)
}

async fn handle_live() -> Response {
    json(StatusCode::OK, &StatusView { status: "ok" })
}

pub(super) fn ready(operations: &Operations) -> Endpoint {
    let not_ready = schema::json_response::<StatusView>(StatusCode::SERVICE_UNAVAILABLE);
    get("/ready", "Say whether this replica takes traffic", public())
        .probe()
        .responds::<StatusView>(StatusCode::OK)
        .responds_with(StatusCode::SERVICE_UNAVAILABLE, not_ready)
        .with(operations.clone())
        .handler(handle_ready)
}

async fn handle_ready(operations: Operations) -> Response {
    let (code, status) = if is_ready(&operations).await {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    json(code, &StatusView { status })
}

async fn is_ready(operations: &Operations) -> bool {
    if !operations.lifecycle.is_serving() {
        return false;
    }
    let database = operations.database.clone();
    let ping = operations
        .ping
        .run(async move { database.ping().await.is_ok() });
    tokio::time::timeout(DATABASE_TIMEOUT, ping).await == Ok(true)
}

pub(super) fn health(operations: &Operations) -> Endpoint {
    let unavailable = schema::json_response::<HealthView>(StatusCode::SERVICE_UNAVAILABLE);
    get("/health", "Look at the database and its schema", public())
        .probe()
        .responds::<HealthView>(StatusCode::OK)
        .responds_with(StatusCode::SERVICE_UNAVAILABLE, unavailable)
        .with(operations.clone())
        .handler(handle_health)
}

async fn handle_health(operations: Operations) -> Response {
    let check = operations
        .health
        .run(Health::of(operations.database.clone()));
    let check = tokio::time::timeout(DATABASE_TIMEOUT, check);
    let health = check.await.unwrap_or_default();
    let code = if health.is_good() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(code, &HealthView::from(&health))
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
