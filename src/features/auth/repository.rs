//! The tables of sessions and refresh tokens.

use std::net::IpAddr;

use time::OffsetDateTime;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::domain::{Presented, RefreshTokenHash, Revocation, Session, SessionId};
use crate::{
    database::{DatabaseError, ReadExecutor, ReadQuery, WriteExecutor, WriteQuery},
    features::users::{User, UserId},
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

static FIND_LIVE: ReadQuery = ReadQuery::new(
    "sessions_find_live",
    "
SELECT s.id AS session_id, s.user_id, s.created_at AS session_created_at, s.last_used_at,
       s.expires_at, s.ends_at, s.ip, s.user_agent,
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

/// A session that is alive, with its user: what every authenticated request asks.
pub(super) async fn find_live(
    db: &impl ReadExecutor,
    id: SessionId,
    user_id: UserId,
    now: OffsetDateTime,
) -> Result<Option<(Session, User)>, DatabaseError> {
    let row = db
        .optional(&FIND_LIVE, &[id.as_uuid(), user_id.as_uuid(), &now])
        .await?;
    row.as_ref().map(with_user).transpose()
}

fn with_user(row: &Row) -> Result<(Session, User), DatabaseError> {
    Ok((row.try_into()?, row.try_into()?))
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
/// the first part adds: it leaves room for it.
pub(super) async fn open(
    db: &impl WriteExecutor,
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

static ROTATE: WriteQuery = WriteQuery::update(
    "refresh_tokens_rotate",
    "
WITH held AS (
    UPDATE sessions AS s
    SET last_used_at = $3, expires_at = LEAST(s.ends_at, $4)
    FROM refresh_tokens AS t, users AS u
    WHERE t.hash = $1 AND coalesce(t.used_at, t.superseded_at) IS NULL
      AND s.id = t.session_id AND s.revoked_at IS NULL AND s.expires_at > $3
      AND u.id = s.user_id AND u.is_active
    RETURNING s.id, s.user_id, s.created_at, s.last_used_at, s.expires_at, s.ends_at,
              s.ip, s.user_agent
), used AS (
    UPDATE refresh_tokens AS t
    SET used_at = $3
    FROM held
    WHERE t.hash = $1 AND coalesce(t.used_at, t.superseded_at) IS NULL
    RETURNING t.hash, t.session_id
), successor AS (
    INSERT INTO refresh_tokens (hash, session_id, parent_hash, created_at)
    SELECT $2, session_id, hash, $3
    FROM used
    RETURNING session_id
)
SELECT held.id AS session_id, held.user_id, held.created_at AS session_created_at,
       held.last_used_at, held.expires_at, held.ends_at, held.ip, held.user_agent
FROM held
JOIN successor ON successor.session_id = held.id",
    &[
        Type::BYTEA,
        Type::BYTEA,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
    ],
);

/// Uses a refresh token for the first time: notes it, hands out its successor, moves the session's end.
///
/// `None`, and nobody got a token, when it has been used before or what it
/// belongs to is not alive. One statement does it all, and each of its parts
/// reads what the one before it wrote. Whoever comes with the same token
/// meanwhile waits for the session's row, and then finds the token used:
/// that is asked again where the token is marked, because what a statement
/// waited for is all that it sees anew. `coalesce`, because the index of live
/// tokens would seem the cheaper one to a PostgreSQL that has no statistics yet.
pub(super) async fn rotate(
    db: &impl WriteExecutor,
    hash: RefreshTokenHash,
    successor: RefreshTokenHash,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<Option<Session>, DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 4] =
        [&hash.as_bytes(), &successor.as_bytes(), &now, &expires_at];
    let row = db.returning_optional(&ROTATE, &parameters).await?;
    row.as_ref().map(Session::try_from).transpose()
}

static INSERT_TOKEN: WriteQuery = WriteQuery::insert(
    "refresh_tokens_insert",
    "
INSERT INTO refresh_tokens (hash, session_id, parent_hash, created_at)
VALUES ($1, $2, $3, $4)",
    &[Type::BYTEA, Type::UUID, Type::BYTEA, Type::TIMESTAMPTZ],
);

/// Adds a refresh token, behind the one it was handed out for.
pub(super) async fn insert_token(
    db: &impl WriteExecutor,
    hash: RefreshTokenHash,
    session_id: SessionId,
    parent: RefreshTokenHash,
    now: OffsetDateTime,
) -> Result<(), DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 4] = [
        &hash.as_bytes(),
        session_id.as_uuid(),
        &parent.as_bytes(),
        &now,
    ];
    db.execute(&INSERT_TOKEN, &parameters).await?;
    Ok(())
}

static LOCK_BY_TOKEN: WriteQuery = WriteQuery::select_for_update(
    "sessions_lock_by_token",
    "
SELECT s.id
FROM sessions AS s
JOIN refresh_tokens AS t ON t.session_id = s.id
WHERE t.hash = $1
FOR UPDATE OF s",
    &[Type::BYTEA],
);

/// Holds the session of a refresh token until the transaction ends. `false` when there is none.
///
/// This comes before anything of it is read: a statement that waits for the
/// lock still sees the other rows as they were before it waited.
pub(super) async fn lock_by_token(
    db: &impl WriteExecutor,
    hash: RefreshTokenHash,
) -> Result<bool, DatabaseError> {
    let row = db
        .returning_optional(&LOCK_BY_TOKEN, &[&hash.as_bytes()])
        .await?;
    Ok(row.is_some())
}

static FIND_BY_TOKEN: ReadQuery = ReadQuery::new(
    "sessions_find_by_token",
    "
SELECT s.id AS session_id, s.user_id, s.created_at AS session_created_at, s.last_used_at,
       s.expires_at, s.ends_at, s.ip, s.user_agent,
       u.id, u.email, u.role, u.is_active, u.created_at, u.updated_at,
       t.used_at, t.superseded_at IS NOT NULL AS is_superseded,
       CASE WHEN c.hash IS NOT NULL THEN c.used_at IS NOT NULL END AS successor_used
FROM refresh_tokens AS t
JOIN sessions AS s ON s.id = t.session_id
JOIN users AS u ON u.id = s.user_id
LEFT JOIN refresh_tokens AS c ON c.parent_hash = t.hash AND c.superseded_at IS NULL
WHERE t.hash = $1
  AND s.revoked_at IS NULL
  AND s.expires_at > $2
  AND u.is_active",
    &[Type::BYTEA, Type::TIMESTAMPTZ],
);

/// What a refresh token belongs to, when that is alive, and what became of the token.
pub(super) async fn find_by_token(
    db: &impl ReadExecutor,
    hash: RefreshTokenHash,
    now: OffsetDateTime,
) -> Result<Option<(Session, User, Presented)>, DatabaseError> {
    let row = db
        .optional(&FIND_BY_TOKEN, &[&hash.as_bytes(), &now])
        .await?;
    row.as_ref()
        .map(|row| {
            let (session, user) = with_user(row)?;
            let presented = Presented {
                used_at: row.try_get("used_at")?,
                is_superseded: row.try_get("is_superseded")?,
                successor_used: row.try_get("successor_used")?,
            };
            Ok((session, user, presented))
        })
        .transpose()
}

static SUPERSEDE_SUCCESSOR: WriteQuery = WriteQuery::update(
    "refresh_tokens_supersede_successor",
    "
UPDATE refresh_tokens
SET superseded_at = $2
WHERE parent_hash = $1 AND used_at IS NULL AND superseded_at IS NULL",
    &[Type::BYTEA, Type::TIMESTAMPTZ],
);

/// Takes the unused successor of a refresh token out of the line.
pub(super) async fn supersede_successor(
    db: &impl WriteExecutor,
    parent: RefreshTokenHash,
    now: OffsetDateTime,
) -> Result<(), DatabaseError> {
    db.execute(&SUPERSEDE_SUCCESSOR, &[&parent.as_bytes(), &now])
        .await?;
    Ok(())
}

static EXTEND: WriteQuery = WriteQuery::update(
    "sessions_extend",
    "
UPDATE sessions
SET last_used_at = $2, expires_at = $3
WHERE id = $1",
    &[Type::UUID, Type::TIMESTAMPTZ, Type::TIMESTAMPTZ],
);

/// Moves the end of a session that is in use.
pub(super) async fn extend(
    db: &impl WriteExecutor,
    id: SessionId,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<(), DatabaseError> {
    db.execute(&EXTEND, &[id.as_uuid(), &now, &expires_at])
        .await?;
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
pub(super) async fn list(
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
pub(super) async fn revoke(
    db: &impl WriteExecutor,
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
pub(super) async fn revoke_all(
    db: &impl WriteExecutor,
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
WHERE id = ANY($1) AND last_used_at < $2",
    &[Type::UUID_ARRAY, Type::TIMESTAMPTZ],
);

/// Notes that these sessions were in use.
pub(super) async fn touch(
    db: &impl WriteExecutor,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<u64, DatabaseError> {
    db.execute(&TOUCH, &[&ids, &now]).await
}

static DELETE_EXPIRED: WriteQuery = WriteQuery::delete(
    "sessions_delete_expired",
    "
DELETE FROM sessions
WHERE id = ANY(ARRAY(
    SELECT id
    FROM sessions
    WHERE expires_at <= $1
    ORDER BY expires_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))",
    &[Type::TIMESTAMPTZ, Type::INT8],
);

static DELETE_REVOKED: WriteQuery = WriteQuery::delete(
    "sessions_delete_revoked",
    "
DELETE FROM sessions
WHERE id = ANY(ARRAY(
    SELECT id
    FROM sessions
    WHERE revoked_at <= $1
    ORDER BY revoked_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))",
    &[Type::TIMESTAMPTZ, Type::INT8],
);

/// Removes up to `limit` expired and as many revoked sessions with their tokens.
///
/// Rows that another replica is at are left to it. The ids are handed over as
/// an array because of a join PostgreSQL might think that it is cheaper to
/// read all sessions.
pub(super) async fn delete_dead(
    db: &impl WriteExecutor,
    now: OffsetDateTime,
    limit: u32,
) -> Result<u64, DatabaseError> {
    let limit = i64::from(limit);
    let expired = db.execute(&DELETE_EXPIRED, &[&now, &limit]).await?;
    let revoked = db.execute(&DELETE_REVOKED, &[&now, &limit]).await?;
    Ok(expired + revoked)
}
