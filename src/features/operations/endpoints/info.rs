//! `GET /info`: the name, version and uptime of the process that answers.

use chassis_http::{Endpoint, get, json};
use http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use warp::reply::Response;

use super::super::state::Operations;
use crate::{
    features::identity::{Auth, Principal, Role, require},
    program::{REVISION, VERSION},
};

/// What is running.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Info)]
struct InfoView {
    name: String,
    version: &'static str,
    git_revision: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    uptime_seconds: i64,
}

pub(super) fn endpoint(operations: &Operations, auth: &Auth) -> Endpoint {
    get("/info", "Say what is running", require(Role::Member, auth))
        .responds::<InfoView>(StatusCode::OK)
        .with(operations.clone())
        .handler(handle)
}

async fn handle(_caller: Principal, operations: Operations) -> Response {
    let uptime = operations.clock.now() - operations.started_at;
    let view = InfoView {
        name: operations.service_name,
        version: VERSION,
        git_revision: REVISION,
        started_at: operations.started_at,
        uptime_seconds: uptime.whole_seconds(),
    };
    json(StatusCode::OK, &view)
}
