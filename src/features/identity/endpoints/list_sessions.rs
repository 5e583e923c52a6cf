//! `GET /auth/sessions`: list the caller's live sessions.

use std::net::IpAddr;

use chassis_http::{Endpoint, Problem, get, json};
use http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use warp::reply::Response;

use crate::{
    features::identity::{Auth, Principal, Session, SessionId, guard::signed_in, tables::sessions},
    shared::problems::database_problem,
};

/// One sign-in of one's own.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionView {
    id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_used_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// Where it was opened from.
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    user_agent: Option<String>,
    /// Whether this request belongs to it.
    current: bool,
    // browser_sessions: begin
    /// How it is held.
    transport: Transport,
    // browser_sessions: end
}

impl SessionView {
    fn new(session: Session, current: Option<SessionId>) -> Self {
        Self {
            id: *session.id.as_uuid(),
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            ip: session.ip,
            user_agent: session.user_agent,
            current: current == Some(session.id),
            // browser_sessions: begin
            transport: Transport::Token,
            // browser_sessions: end
        }
    }
}

/// One's own sessions, oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionList)]
struct SessionListView {
    items: Vec<SessionView>,
}

// browser_sessions: begin
use crate::features::identity::{Error, Transport, UserId};

impl Auth {
    /// The same, with those told apart that a cookie holds.
    async fn with_transports(
        &self,
        mut list: SessionListView,
        user: UserId,
    ) -> Result<SessionListView, Error> {
        if let Some(browsers) = &self.flows().browsers {
            let held = browsers.held_by_cookie(user).await?;
            for item in &mut list.items {
                if held.contains(&SessionId::from(item.id)) {
                    item.transport = Transport::Cookie;
                }
            }
        }
        Ok(list)
    }
}
// browser_sessions: end

pub(super) fn endpoint(auth: &Auth) -> Endpoint {
    get("/auth/sessions", "List one's own sessions", signed_in(auth))
        .responds::<SessionListView>(StatusCode::OK)
        .with(auth.clone())
        .handler(handle)
}

async fn handle(principal: Principal, auth: Auth) -> Result<Response, Problem> {
    let reader = auth.database().reader();
    let sessions = sessions::list(&reader, principal.id(), auth.now())
        .await
        .map_err(database_problem)?;
    let current = principal.session_id();
    let items = sessions
        .into_iter()
        .map(|session| SessionView::new(session, current));
    let view = SessionListView {
        items: items.collect(),
    };
    // browser_sessions: begin
    let view = auth.with_transports(view, principal.id()).await?;
    // browser_sessions: end
    Ok(json(StatusCode::OK, &view))
}
