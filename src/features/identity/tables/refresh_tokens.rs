//! The table `refresh_tokens`, and the statements that change a session with its tokens.

use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, WriteQuery};
use time::OffsetDateTime;
use tokio_postgres::types::{ToSql, Type};

use super::{sessions::with_user, writer::Writer};
use crate::features::identity::{Presented, RefreshTokenHash, Session, SessionId, User};

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
/// `None`, and no token is handed out, when it has been used before or what it
/// belongs to is not alive. One statement does it all, and each of its parts
/// reads what the one before it wrote. A second request with the same token
/// waits for the session's row, and then finds the token used: that is checked
/// again where the token is marked, because the row that a statement waited for
/// is all that it reads again. No user is locked: disabling or deleting an
/// account ends its sessions in the same transaction, so the session's row tells. `coalesce`, because the index of live
/// tokens would seem the cheaper one to a PostgreSQL that has no statistics yet.
pub(in crate::features::identity) async fn rotate(
    db: &impl Writer,
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
pub(in crate::features::identity) async fn insert_token(
    db: &impl Writer,
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
pub(in crate::features::identity) async fn find_by_token(
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
pub(in crate::features::identity) async fn supersede_successor(
    db: &impl Writer,
    parent: RefreshTokenHash,
    now: OffsetDateTime,
) -> Result<(), DatabaseError> {
    db.execute(&SUPERSEDE_SUCCESSOR, &[&parent.as_bytes(), &now])
        .await?;
    Ok(())
}
