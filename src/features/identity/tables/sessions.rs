//! The table `sessions`.
//!
//! A session ends by `revoke` (one), `revoke_all` (a user's) or `open` (the oldest beyond the limit); or by its time, or
//! with its account. [`Revocation`] lists the reasons. `delete_dead` only removes what has ended.

use std::net::IpAddr;

use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, WriteQuery};
use time::OffsetDateTime;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::writer::Writer;
use crate::features::identity::{
    LiveSession, RefreshTokenHash, Revocation, Session, SessionId, UserId,
};

impl TryFrom<&Row> for Session {
    type Error = DatabaseError;

    fn try_from(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.try_get::<_, Uuid>("session_id")?.into(),
            user_id: row.try_get::<_, Uuid>("user_id")?.into(),
            created_at: row.try_get("session_created_at")?,
            last_used_at: row.try_get("last_used_at")?,
            expires_at: row.try_get("expires_at")?,
            ends_at: row.try_get("ends_at")?,
            ip: row.try_get("ip")?,
            user_agent: row.try_get("user_agent")?,
        })
    }
}

impl TryFrom<&Row> for LiveSession {
    type Error = DatabaseError;

    fn try_from(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            session: row.try_into()?,
            user: row.try_into()?,
            authenticated_at: row.try_get("authenticated_at")?,
        })
    }
}

static FIND_LIVE: ReadQuery = ReadQuery::new(
    "sessions_find_live",
    "
SELECT s.id AS session_id, s.user_id, s.created_at AS session_created_at, s.last_used_at,
       s.expires_at, s.ends_at, s.ip, s.user_agent,
       COALESCE(s.authenticated_at, s.created_at) AS authenticated_at,
       u.id, u.email, u.role, u.is_active, u.created_at, u.updated_at
FROM sessions AS s
JOIN users AS u ON u.id = s.user_id
WHERE s.id = $1
  AND s.user_id = $2
  AND s.revoked_at IS NULL
  AND s.expires_at > $3
  AND u.is_active",
    &[Type::UUID, Type::UUID, Type::TIMESTAMPTZ],
);

/// A session that is alive, with its user, and when the password was last given in it: what every authenticated request
/// asks.
pub(in crate::features::identity) async fn find_live(
    db: &impl ReadExecutor,
    id: SessionId,
    user_id: UserId,
    now: OffsetDateTime,
) -> Result<Option<LiveSession>, DatabaseError> {
    let row = db
        .optional(&FIND_LIVE, &[id.as_uuid(), user_id.as_uuid(), &now])
        .await?;
    row.as_ref().map(LiveSession::try_from).transpose()
}

static OPEN: WriteQuery = WriteQuery::insert(
    "sessions_open",
    "
WITH opened AS (
    INSERT INTO sessions
        (id, user_id, created_at, last_used_at, expires_at, ends_at, ip, user_agent)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    RETURNING id, created_at
), handed_out AS (
    INSERT INTO refresh_tokens (hash, session_id, created_at)
    SELECT $9, id, created_at
    FROM opened
    WHERE $9::bytea IS NOT NULL
)
UPDATE sessions
SET revoked_at = $3, revoked_for = $10
WHERE id IN (
    SELECT id
    FROM sessions
    WHERE user_id = $2 AND revoked_at IS NULL AND expires_at > $3
    ORDER BY created_at DESC, id DESC
    OFFSET $11
)",
    &[
        Type::UUID,
        Type::UUID,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
        Type::INET,
        Type::TEXT,
        Type::BYTEA,
        Type::TEXT,
        Type::INT8,
    ],
);

/// Adds a session, perhaps with a refresh token, and ends the user's oldest ones beyond this many.
///
/// One statement, and the part that ends sessions does not see the one that
/// the first part adds, so it keeps one fewer.
pub(in crate::features::identity) async fn open(
    db: &impl Writer,
    session: &Session,
    token: Option<RefreshTokenHash>,
    keep: u32,
) -> Result<(), DatabaseError> {
    let ip: Option<IpAddr> = session.ip;
    let token = token.as_ref().map(RefreshTokenHash::as_bytes);
    let others = i64::from(keep) - 1;
    let parameters: [&(dyn ToSql + Sync); 11] = [
        session.id.as_uuid(),
        session.user_id.as_uuid(),
        &session.created_at,
        &session.last_used_at,
        &session.expires_at,
        &session.ends_at,
        &ip,
        &session.user_agent,
        &token,
        &Revocation::Limit.as_str(),
        &others,
    ];
    db.execute(&OPEN, &parameters).await?;
    Ok(())
}

static LOCK_FOR_SHARE: WriteQuery = WriteQuery::select_for_update(
    "sessions_lock_for_share",
    "
SELECT COALESCE(authenticated_at, created_at) AS authenticated_at
FROM sessions
WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3
FOR SHARE",
    &[Type::UUID, Type::UUID, Type::TIMESTAMPTZ],
);

/// Locks a live session of this user against changes. Returns when the password was last given in it, `None` when there is
/// no such session.
pub(in crate::features::identity) async fn lock_for_share(
    db: &impl Writer,
    id: SessionId,
    user_id: UserId,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, DatabaseError> {
    lock_live(db, &LOCK_FOR_SHARE, id, user_id, now).await
}

static LOCK_FOR_NO_KEY_UPDATE: WriteQuery = WriteQuery::select_for_update(
    "sessions_lock_for_no_key_update",
    "
SELECT COALESCE(authenticated_at, created_at) AS authenticated_at
FROM sessions
WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3
FOR NO KEY UPDATE",
    &[Type::UUID, Type::UUID, Type::TIMESTAMPTZ],
);

/// The same for a session that will be written.
pub(in crate::features::identity) async fn lock_for_no_key_update(
    db: &impl Writer,
    id: SessionId,
    user_id: UserId,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, DatabaseError> {
    lock_live(db, &LOCK_FOR_NO_KEY_UPDATE, id, user_id, now).await
}

async fn lock_live(
    db: &impl Writer,
    query: &'static WriteQuery,
    id: SessionId,
    user_id: UserId,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, DatabaseError> {
    let row = db
        .returning_optional(query, &[id.as_uuid(), user_id.as_uuid(), &now])
        .await?;
    row.map(|row| Ok(row.try_get("authenticated_at")?))
        .transpose()
}

static REAUTHENTICATE: WriteQuery = WriteQuery::update(
    "sessions_reauthenticate",
    "
UPDATE sessions
SET authenticated_at = $2
WHERE id = $1",
    &[Type::UUID, Type::TIMESTAMPTZ],
);

/// Notes that the password was given in this session, which the transaction has locked.
pub(in crate::features::identity) async fn reauthenticate(
    db: &impl Writer,
    id: SessionId,
    now: OffsetDateTime,
) -> Result<(), DatabaseError> {
    db.execute(&REAUTHENTICATE, &[id.as_uuid(), &now]).await?;
    Ok(())
}

static LIST: ReadQuery = ReadQuery::new(
    "sessions_list",
    "
SELECT id AS session_id, user_id, created_at AS session_created_at, last_used_at,
       expires_at, ends_at, ip, user_agent
FROM sessions
WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
ORDER BY created_at, id",
    &[Type::UUID, Type::TIMESTAMPTZ],
);

/// A user's live sessions, oldest first.
pub(in crate::features::identity) async fn list(
    db: &impl ReadExecutor,
    user_id: UserId,
    now: OffsetDateTime,
) -> Result<Vec<Session>, DatabaseError> {
    let rows = db.rows(&LIST, &[user_id.as_uuid(), &now]).await?;
    rows.iter().map(Session::try_from).collect()
}

static REVOKE: WriteQuery = WriteQuery::update(
    "sessions_revoke",
    "
UPDATE sessions
SET revoked_at = $3, revoked_for = $4
WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3",
    &[Type::UUID, Type::UUID, Type::TIMESTAMPTZ, Type::TEXT],
);

/// Ends a live session of this user. `false` when there is none.
pub(in crate::features::identity) async fn revoke(
    db: &impl Writer,
    id: SessionId,
    user_id: UserId,
    now: OffsetDateTime,
    reason: Revocation,
) -> Result<bool, DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 4] =
        [id.as_uuid(), user_id.as_uuid(), &now, &reason.as_str()];
    Ok(db.execute(&REVOKE, &parameters).await? == 1)
}

static REVOKE_ALL: WriteQuery = WriteQuery::update(
    "sessions_revoke_all",
    "
UPDATE sessions
SET revoked_at = $2, revoked_for = $3
WHERE user_id = $1 AND revoked_at IS NULL AND ($4::uuid IS NULL OR id <> $4)",
    &[Type::UUID, Type::TIMESTAMPTZ, Type::TEXT, Type::UUID],
);

/// Ends every session of a user, except perhaps one. Returns how many.
///
/// Expired sessions too: another replica, whose clock is behind, may still take them for live ones.
pub(in crate::features::identity) async fn revoke_all(
    db: &impl Writer,
    user_id: UserId,
    except: Option<SessionId>,
    now: OffsetDateTime,
    reason: Revocation,
) -> Result<u64, DatabaseError> {
    let except = except.map(|id| *id.as_uuid());
    let parameters: [&(dyn ToSql + Sync); 4] = [user_id.as_uuid(), &now, &reason.as_str(), &except];
    db.execute(&REVOKE_ALL, &parameters).await
}

static TOUCH: WriteQuery = WriteQuery::update(
    "sessions_touch",
    "
UPDATE sessions
SET last_used_at = $2
WHERE id = ANY(ARRAY(
    SELECT id
    FROM sessions
    WHERE id = ANY($1) AND last_used_at < $2
    FOR NO KEY UPDATE SKIP LOCKED
))",
    &[Type::UUID_ARRAY, Type::TIMESTAMPTZ],
);

/// Notes that these sessions were in use.
///
/// Sessions that are locked are skipped: the transaction that holds one may wait for another of these, and the
/// next request brings them again.
pub(in crate::features::identity) async fn touch(
    db: &impl Writer,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<u64, DatabaseError> {
    db.execute(&TOUCH, &[&ids, &now]).await
}

static DELETE_EXPIRED: WriteQuery = WriteQuery::delete(
    "sessions_delete_expired",
    "
DELETE FROM sessions AS s
WHERE id = ANY(ARRAY(
    SELECT id
    FROM sessions
    WHERE expires_at <= $1
    ORDER BY expires_at, id
    LIMIT $2
    OFFSET $3
    FOR UPDATE SKIP LOCKED
)) AND NOT EXISTS (SELECT FROM refresh_tokens WHERE session_id = s.id)",
    &[Type::TIMESTAMPTZ, Type::INT8, Type::INT8],
);

static DELETE_REVOKED: WriteQuery = WriteQuery::delete(
    "sessions_delete_revoked",
    "
DELETE FROM sessions AS s
WHERE id = ANY(ARRAY(
    SELECT id
    FROM sessions
    WHERE revoked_at <= $1
    ORDER BY revoked_at, id
    LIMIT $2
    OFFSET $3
    FOR UPDATE SKIP LOCKED
)) AND NOT EXISTS (SELECT FROM refresh_tokens WHERE session_id = s.id)",
    &[Type::TIMESTAMPTZ, Type::INT8, Type::INT8],
);

/// One of the two ways in which a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::features::identity) enum Dead {
    Expired,
    Revoked,
}

/// Dead sessions in the order in which they ended: so many, behind those that are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::features::identity) struct DeadSessions {
    pub(in crate::features::identity) kind: Dead,
    pub(in crate::features::identity) count: u32,
    pub(in crate::features::identity) skipped: u32,
}

/// Removes those of these dead sessions that have no refresh tokens any more. Returns how many.
///
/// With tokens the number of sessions would not bound the number of rows. Rows that another replica is at are left to it.
/// The ids are handed over as an array because of a join PostgreSQL might think that it is cheaper to
/// read all sessions.
pub(in crate::features::identity) async fn delete_dead(
    db: &impl Writer,
    dead: DeadSessions,
    now: OffsetDateTime,
) -> Result<u64, DatabaseError> {
    let query = match dead.kind {
        Dead::Expired => &DELETE_EXPIRED,
        Dead::Revoked => &DELETE_REVOKED,
    };
    let (count, skipped) = (i64::from(dead.count), i64::from(dead.skipped));
    db.execute(query, &[&now, &count, &skipped]).await
}
