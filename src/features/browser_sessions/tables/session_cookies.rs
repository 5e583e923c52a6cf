//! The columns of `sessions` that a cookie has.

use std::collections::HashSet;

use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, WriteExecutor, WriteQuery};
use time::{Duration, OffsetDateTime};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use crate::features::identity::{LiveSession, SessionId, UserId};

static FIND: ReadQuery = ReadQuery::new(
    "session_cookies_find",
    "
SELECT s.id AS session_id, s.user_id, s.created_at AS session_created_at, s.last_used_at,
       s.expires_at, s.ends_at, s.ip, s.user_agent,
       COALESCE(s.authenticated_at, s.created_at) AS authenticated_at,
       u.id, u.email, u.role, u.is_active, u.created_at, u.updated_at
FROM sessions AS s
JOIN users AS u ON u.id = s.user_id
WHERE s.cookie_hash = $1
  AND s.revoked_at IS NULL
  AND s.expires_at > $2
  AND u.is_active",
    &[Type::BYTEA, Type::TIMESTAMPTZ],
);

/// The live session with this cookie, and its user: what every request with a cookie asks.
pub(in crate::features::browser_sessions) async fn find(
    db: &impl ReadExecutor,
    hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<LiveSession>, DatabaseError> {
    let row = db.optional(&FIND, &[&hash.as_slice(), &now]).await?;
    row.as_ref().map(LiveSession::try_from).transpose()
}

static FIND_PREVIOUS: ReadQuery = ReadQuery::new(
    "session_cookies_find_previous",
    "
SELECT s.id AS session_id, s.user_id, s.created_at AS session_created_at, s.last_used_at,
       s.expires_at, s.ends_at, s.ip, s.user_agent,
       COALESCE(s.authenticated_at, s.created_at) AS authenticated_at,
       u.id, u.email, u.role, u.is_active, u.created_at, u.updated_at
FROM sessions AS s
JOIN users AS u ON u.id = s.user_id
WHERE s.previous_cookie_hash = $1
  AND s.cookie_changed_at > now() - interval '10 seconds'
  AND s.revoked_at IS NULL
  AND s.expires_at > $2
  AND u.is_active",
    &[Type::BYTEA, Type::TIMESTAMPTZ],
);

/// The live session that had this cookie until a moment ago, by PostgreSQL's clock, which replicas share.
pub(in crate::features::browser_sessions) async fn find_previous(
    db: &impl ReadExecutor,
    hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<LiveSession>, DatabaseError> {
    let row = db
        .optional(&FIND_PREVIOUS, &[&hash.as_slice(), &now])
        .await?;
    row.as_ref().map(LiveSession::try_from).transpose()
}

static IS_CURRENT: ReadQuery = ReadQuery::new(
    "session_cookies_is_current",
    "
SELECT FROM sessions
WHERE id = $1 AND cookie_hash = $2",
    &[Type::UUID, Type::BYTEA],
);

/// Whether the session, which is locked, has this cookie.
pub(in crate::features::browser_sessions) async fn is_current(
    db: &impl ReadExecutor,
    session: SessionId,
    hash: &[u8; 32],
) -> Result<bool, DatabaseError> {
    let row = db
        .optional(&IS_CURRENT, &[session.as_uuid(), &hash.as_slice()])
        .await?;
    Ok(row.is_some())
}

static SET: WriteQuery = WriteQuery::update(
    "session_cookies_set",
    "
UPDATE sessions
SET cookie_hash = $2
WHERE id = $1",
    &[Type::UUID, Type::BYTEA],
);

/// Gives a session, which was just opened, its first cookie.
pub(in crate::features::browser_sessions) async fn set(
    db: &impl WriteExecutor,
    session: SessionId,
    hash: &[u8; 32],
) -> Result<(), DatabaseError> {
    db.execute(&SET, &[session.as_uuid(), &hash.as_slice()])
        .await?;
    Ok(())
}

static CHANGE: WriteQuery = WriteQuery::update(
    "session_cookies_change",
    "
UPDATE sessions
SET previous_cookie_hash = cookie_hash, cookie_hash = $2, cookie_changed_at = now()
WHERE id = $1
RETURNING expires_at",
    &[Type::UUID, Type::BYTEA],
);

/// Gives a session, which is locked, another cookie. Returns when it expires.
pub(in crate::features::browser_sessions) async fn change(
    db: &impl WriteExecutor,
    session: SessionId,
    hash: &[u8; 32],
) -> Result<OffsetDateTime, DatabaseError> {
    let row = db
        .returning_optional(&CHANGE, &[session.as_uuid(), &hash.as_slice()])
        .await?;
    let row = row.ok_or(DatabaseError::InvalidColumn("expires_at"))?;
    Ok(row.try_get("expires_at")?)
}

static END: WriteQuery = WriteQuery::update(
    "session_cookies_end",
    "
UPDATE sessions
SET revoked_at = $2, revoked_for = $3
WHERE (cookie_hash = $1 OR previous_cookie_hash = $1) AND revoked_at IS NULL AND expires_at > $2
RETURNING id, user_id",
    &[Type::BYTEA, Type::TIMESTAMPTZ, Type::TEXT],
);

/// Ends the live session that has this cookie, or had it before: the reply with the next one may have been lost. Returns
/// which it was, and whose.
pub(in crate::features::browser_sessions) async fn end(
    db: &impl WriteExecutor,
    hash: &[u8; 32],
    now: OffsetDateTime,
    reason: &str,
) -> Result<Option<(SessionId, UserId)>, DatabaseError> {
    let row = db
        .returning_optional(&END, &[&hash.as_slice(), &now, &reason])
        .await?;
    let ids = |row: Row| {
        let (session, user): (Uuid, Uuid) = (row.try_get("id")?, row.try_get("user_id")?);
        Ok((session.into(), user.into()))
    };
    row.map(ids).transpose()
}

static HELD: ReadQuery = ReadQuery::new(
    "session_cookies_held",
    "
SELECT id
FROM sessions
WHERE user_id = $1 AND cookie_hash IS NOT NULL AND revoked_at IS NULL",
    &[Type::UUID],
);

/// The sessions of a user that a cookie holds.
pub(in crate::features::browser_sessions) async fn held_by_cookie(
    db: &impl ReadExecutor,
    user: UserId,
) -> Result<HashSet<SessionId>, DatabaseError> {
    let rows = db.rows(&HELD, &[user.as_uuid()]).await?;
    let id = |row: &Row| Ok(row.try_get::<_, Uuid>("id")?.into());
    rows.iter().map(id).collect()
}

static TOUCH: WriteQuery = WriteQuery::update(
    "session_cookies_touch",
    "
UPDATE sessions
SET last_used_at = $2,
    expires_at = CASE
        WHEN LEAST(ends_at, $2 + make_interval(secs => $3)) - expires_at >= make_interval(secs => $3 / 10)
        THEN LEAST(ends_at, $2 + make_interval(secs => $3))
        ELSE expires_at
    END
WHERE id = ANY(ARRAY(
    SELECT id
    FROM sessions
    WHERE id = ANY($1) AND last_used_at < $2 AND expires_at > $2 AND revoked_at IS NULL
    FOR NO KEY UPDATE SKIP LOCKED
))",
    &[Type::UUID_ARRAY, Type::TIMESTAMPTZ, Type::FLOAT8],
);

/// Notes that these sessions were in use, and has them last for `idle` from now, but never beyond their end, once a tenth
/// of that has passed: the moment at which the browser is given the cookie for as long, too.
pub(in crate::features::browser_sessions) async fn touch(
    db: &impl WriteExecutor,
    ids: &[Uuid],
    now: OffsetDateTime,
    idle: Duration,
) -> Result<u64, DatabaseError> {
    db.execute(&TOUCH, &[&ids, &now, &idle.as_seconds_f64()])
        .await
}
