//! The table `refresh_tokens`, and the statements that change a session with its tokens.

use std::time::Duration;

use chassis_http::Quota;
use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, WriteQuery};
use time::OffsetDateTime;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{
    sessions::{Dead, DeadSessions},
    writer::Writer,
};
use crate::features::identity::{
    MaskedToken, Presented, REPLAY_WINDOW, RefreshTokenHash, Session, SessionId, Successor, UserId,
};

static ROTATE: WriteQuery = WriteQuery::update(
    "refresh_tokens_rotate",
    "
WITH held AS (
    UPDATE sessions AS s
    SET last_used_at = $4, expires_at = LEAST(s.ends_at, $5),
        rotations_full_at = make_interval(secs => $8)
            + CASE WHEN s.rotations_full_at > now() + make_interval(secs => 2 * $9) THEN now()
                   ELSE GREATEST(s.rotations_full_at, now()) END
    FROM refresh_tokens AS t, users AS u
    WHERE t.hash = $1 AND coalesce(t.used_at, t.superseded_at) IS NULL
      AND s.id = t.session_id AND s.revoked_at IS NULL AND s.expires_at > $4
      AND (s.rotations_full_at > now() + make_interval(secs => 2 * $9)
           OR GREATEST(s.rotations_full_at, now()) + make_interval(secs => $8)
              <= now() + make_interval(secs => $9))
      AND u.id = s.user_id AND u.is_active
    RETURNING s.id, s.user_id, s.created_at, s.last_used_at, s.expires_at, s.ends_at,
              s.ip, s.user_agent
), used AS (
    UPDATE refresh_tokens AS t
    SET used_at = $4, masked_successor = $3, masked_until = clock_timestamp() + make_interval(secs => $7)
    FROM held
    WHERE t.hash = $1 AND coalesce(t.used_at, t.superseded_at) IS NULL
    RETURNING t.hash, t.session_id
), successor AS (
    INSERT INTO refresh_tokens (hash, session_id, parent_hash, created_at)
    SELECT $2, session_id, hash, $4
    FROM used
    RETURNING session_id
), erased AS (
    UPDATE refresh_tokens
    SET masked_successor = NULL
    WHERE session_id = (SELECT session_id FROM used)
      AND masked_successor IS NOT NULL AND masked_until <= now()
), familiar AS (
    UPDATE auth_networks
    SET last_used_at = $4
    WHERE (user_id, network) = (
        SELECT user_id, network
        FROM auth_networks
        WHERE user_id = (SELECT user_id FROM held) AND network = sha256(uuid_send(user_id) || $10)
          AND last_used_at > $11 AND last_used_at <= $12
        FOR NO KEY UPDATE SKIP LOCKED
    )
), forgotten AS (
    DELETE FROM refresh_tokens
    WHERE hash = ANY(ARRAY(
        SELECT hash
        FROM refresh_tokens
        WHERE session_id = (SELECT session_id FROM used) AND used_at < $6
        ORDER BY used_at
        LIMIT 100
    ))
)
SELECT held.id AS session_id, held.user_id, held.created_at AS session_created_at,
       held.last_used_at, held.expires_at, held.ends_at, held.ip, held.user_agent
FROM held
JOIN successor ON successor.session_id = held.id",
    &[
        Type::BYTEA,
        Type::BYTEA,
        Type::BYTEA,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
        Type::FLOAT8,
        Type::FLOAT8,
        Type::FLOAT8,
        Type::BYTEA,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
    ],
);

/// The exchange of a refresh token for its successor.
#[derive(Debug, Clone, Copy)]
pub(in crate::features::identity) struct Rotation<'a> {
    pub(in crate::features::identity) token: RefreshTokenHash,
    pub(in crate::features::identity) successor: RefreshTokenHash,
    pub(in crate::features::identity) masked: MaskedToken,
    pub(in crate::features::identity) now: OffsetDateTime,
    /// The session's end from now on, if it does not end in any case before.
    pub(in crate::features::identity) expires_at: OffsetDateTime,
    /// Tokens of the session that were used before this time need not be known any more.
    pub(in crate::features::identity) forget_before: OffsetDateTime,
    /// How often a session may do this. `None`: as often as it likes.
    pub(in crate::features::identity) quota: Option<&'a Quota>,
    /// The address of the network that the token comes from.
    pub(in crate::features::identity) network: Option<&'a [u8]>,
    /// A network that the user last used then, or before, is forgotten, and stays so.
    pub(in crate::features::identity) forgotten_since: OffsetDateTime,
    /// A network that the user last used then, or before, is noted as used again.
    pub(in crate::features::identity) renew_since: OffsetDateTime,
}

/// Uses a refresh token for the first time: notes it, hands out its successor, moves the session's end.
///
/// `None`, and no token is handed out, when it has been used before, when what it belongs to is not alive, or when the
/// session's bucket of rotations is empty. One statement does it all, and each of its parts
/// reads what the one before it wrote. A second request with the same token
/// waits for the session's row, and then finds the token used: that is checked
/// again where the token is marked, because the row that a statement waited for
/// is all that it reads again. (It has taken from the bucket then, too.) No user is locked: disabling or deleting an
/// account ends its sessions in the same transaction, so the session's row tells. `coalesce`, because the index of live
/// tokens would seem the cheaper one to a PostgreSQL that has no statistics yet.
///
/// A clock of PostgreSQL's that was set back counts as in the table `rate_limits`: a bucket that looks emptier than empty by
/// a window and more is full.
///
/// It also cleans up behind the session: masks that are past, and up to 100 tokens that nobody needs to know any more.
/// One is added each time, so they never pile up; and younger ones stay, because they prove a reuse.
///
/// And it notes that the network is used, if the user signed in from there before; no other network is made familiar by
/// a token. A row that another transaction has locked is left to it: transactions that remember or forget networks lock
/// sessions, too, and in either order nobody waits for this statement in a circle.
pub(in crate::features::identity) async fn rotate(
    db: &impl Writer,
    rotation: &Rotation<'_>,
) -> Result<Option<Session>, DatabaseError> {
    let window = REPLAY_WINDOW.as_seconds_f64();
    // Without a limit a rotation takes nothing, whatever a replica that has limits left in the bucket.
    let (interval, bucket) = rotation.quota.map_or((0.0, 86_400.0), |quota| {
        (quota.interval().as_secs_f64(), quota.window().as_secs_f64())
    });
    let parameters: [&(dyn ToSql + Sync); 12] = [
        &rotation.token.as_bytes(),
        &rotation.successor.as_bytes(),
        &rotation.masked.as_bytes(),
        &rotation.now,
        &rotation.expires_at,
        &rotation.forget_before,
        &window,
        &interval,
        &bucket,
        &rotation.network,
        &rotation.forgotten_since,
        &rotation.renew_since,
    ];
    let row = db.returning_optional(&ROTATE, &parameters).await?;
    row.as_ref().map(Session::try_from).transpose()
}

static FIND_BY_TOKEN: ReadQuery = ReadQuery::new(
    "sessions_find_by_token",
    "
SELECT s.id AS session_id, s.user_id, s.created_at AS session_created_at, s.last_used_at,
       s.expires_at, s.ends_at, s.ip, s.user_agent,
       t.used_at, t.superseded_at IS NOT NULL AS is_superseded,
       t.masked_until IS NOT NULL AS has_masked,
       CASE WHEN t.masked_until > now() THEN t.masked_successor END AS masked_successor,
       coalesce(EXTRACT(EPOCH FROM s.rotations_full_at - now()), 0)::float8 AS full_in
FROM refresh_tokens AS t
JOIN sessions AS s ON s.id = t.session_id
JOIN users AS u ON u.id = s.user_id
WHERE t.hash = $1
  AND s.revoked_at IS NULL
  AND s.expires_at > $2
  AND u.is_active",
    &[Type::BYTEA, Type::TIMESTAMPTZ],
);

/// A refresh token of a live session.
#[derive(Debug)]
pub(in crate::features::identity) struct FoundToken {
    pub(in crate::features::identity) session: Session,
    pub(in crate::features::identity) presented: Presented,
    /// How long until the session's bucket of rotations is full.
    pub(in crate::features::identity) full_in: Duration,
}

impl TryFrom<&Row> for FoundToken {
    type Error = DatabaseError;

    fn try_from(row: &Row) -> Result<Self, DatabaseError> {
        let masked: Option<&[u8]> = row.try_get("masked_successor")?;
        let masked = masked.map(MaskedToken::try_from).transpose();
        let masked = masked.map_err(|_| DatabaseError::InvalidColumn("masked_successor"))?;
        let successor = match (masked, row.try_get("has_masked")?) {
            (Some(masked), _) => Successor::Kept(masked),
            (None, true) => Successor::Past,
            (None, false) => Successor::NotKept,
        };
        Ok(Self {
            session: row.try_into()?,
            presented: Presented {
                used_at: row.try_get("used_at")?,
                is_superseded: row.try_get("is_superseded")?,
                successor,
            },
            full_in: Duration::try_from_secs_f64(row.try_get("full_in")?).unwrap_or_default(),
        })
    }
}

/// What a refresh token belongs to, when that is alive, and what became of the token.
pub(in crate::features::identity) async fn find_by_token(
    db: &impl ReadExecutor,
    hash: RefreshTokenHash,
    now: OffsetDateTime,
) -> Result<Option<FoundToken>, DatabaseError> {
    let row = db
        .optional(&FIND_BY_TOKEN, &[&hash.as_bytes(), &now])
        .await?;
    row.as_ref().map(FoundToken::try_from).transpose()
}

static FIND_SESSION: ReadQuery = ReadQuery::new(
    "refresh_tokens_find_session",
    "
SELECT s.id, s.user_id
FROM refresh_tokens AS t
JOIN sessions AS s ON s.id = t.session_id
WHERE t.hash = $1",
    &[Type::BYTEA],
);

/// The session that a refresh token was handed out for, alive or not, whatever became of the token.
pub(in crate::features::identity) async fn find_session(
    db: &impl ReadExecutor,
    hash: RefreshTokenHash,
) -> Result<Option<(SessionId, UserId)>, DatabaseError> {
    let row = db.optional(&FIND_SESSION, &[&hash.as_bytes()]).await?;
    row.map(|row| {
        let session: Uuid = row.try_get("id")?;
        let user: Uuid = row.try_get("user_id")?;
        Ok((session.into(), user.into()))
    })
    .transpose()
}

static ERASE_MASKS: WriteQuery = WriteQuery::update(
    "refresh_tokens_erase_masks",
    "
UPDATE refresh_tokens
SET masked_successor = NULL
WHERE hash = ANY(ARRAY(
    SELECT hash
    FROM refresh_tokens
    WHERE masked_successor IS NOT NULL AND masked_until <= now()
    LIMIT $1
    FOR UPDATE SKIP LOCKED
))",
    &[Type::INT8],
);

/// Erases up to `limit` masks of successors that are not handed out again any more. Returns how many.
///
/// Rows that another replica is at, or a rotation, are left to it.
pub(in crate::features::identity) async fn erase_masks(
    db: &impl Writer,
    limit: u32,
) -> Result<u64, DatabaseError> {
    db.execute(&ERASE_MASKS, &[&i64::from(limit)]).await
}

static DELETE_OF_EXPIRED: WriteQuery = WriteQuery::delete(
    "refresh_tokens_delete_of_expired",
    "
DELETE FROM refresh_tokens
WHERE hash = ANY(ARRAY(
    SELECT t.hash
    FROM (
        SELECT id
        FROM sessions
        WHERE expires_at <= $1
        ORDER BY expires_at, id
        LIMIT $2
        OFFSET $3
        FOR UPDATE SKIP LOCKED
    ) AS s
    CROSS JOIN LATERAL (
        SELECT hash
        FROM refresh_tokens
        WHERE session_id = s.id
        ORDER BY used_at
        LIMIT $4
    ) AS t
    LIMIT $4
))",
    &[Type::TIMESTAMPTZ, Type::INT8, Type::INT8, Type::INT8],
);

static DELETE_OF_REVOKED: WriteQuery = WriteQuery::delete(
    "refresh_tokens_delete_of_revoked",
    "
DELETE FROM refresh_tokens
WHERE hash = ANY(ARRAY(
    SELECT t.hash
    FROM (
        SELECT id
        FROM sessions
        WHERE revoked_at <= $1
        ORDER BY revoked_at, id
        LIMIT $2
        OFFSET $3
        FOR UPDATE SKIP LOCKED
    ) AS s
    CROSS JOIN LATERAL (
        SELECT hash
        FROM refresh_tokens
        WHERE session_id = s.id
        ORDER BY used_at
        LIMIT $4
    ) AS t
    LIMIT $4
))",
    &[Type::TIMESTAMPTZ, Type::INT8, Type::INT8, Type::INT8],
);

/// Removes up to `limit` tokens of these dead sessions. Returns how many.
///
/// In the order of the index: in any other, each call would read again what the calls before it have removed.
pub(in crate::features::identity) async fn delete_of_dead(
    db: &impl Writer,
    dead: DeadSessions,
    now: OffsetDateTime,
    limit: u32,
) -> Result<u64, DatabaseError> {
    let query = match dead.kind {
        Dead::Expired => &DELETE_OF_EXPIRED,
        Dead::Revoked => &DELETE_OF_REVOKED,
    };
    let (count, skipped) = (i64::from(dead.count), i64::from(dead.skipped));
    let parameters: [&(dyn ToSql + Sync); 4] = [&now, &count, &skipped, &i64::from(limit)];
    db.execute(query, &parameters).await
}

static HAS_MORE: ReadQuery = ReadQuery::new(
    "refresh_tokens_has_more",
    "
SELECT t.hash
FROM sessions AS s
JOIN refresh_tokens AS t ON t.session_id = s.id
WHERE s.user_id = $1
LIMIT 1
OFFSET $2",
    &[Type::UUID, Type::INT8],
);

/// Whether a user has more refresh tokens than this many.
pub(in crate::features::identity) async fn has_more(
    db: &impl ReadExecutor,
    user: UserId,
    limit: u32,
) -> Result<bool, DatabaseError> {
    let row = db
        .optional(&HAS_MORE, &[user.as_uuid(), &i64::from(limit)])
        .await?;
    Ok(row.is_some())
}

static DELETE_OF_USER: WriteQuery = WriteQuery::delete(
    "refresh_tokens_delete_of_user",
    "
DELETE FROM refresh_tokens
WHERE hash = ANY(ARRAY(
    SELECT t.hash
    FROM sessions AS s
    CROSS JOIN LATERAL (
        SELECT hash
        FROM refresh_tokens
        WHERE session_id = s.id
        ORDER BY used_at
        LIMIT $2
    ) AS t
    WHERE s.user_id = $1
    LIMIT $2
))",
    &[Type::UUID, Type::INT8],
);

/// Removes up to `limit` tokens of a user, in the order of the index as [`delete_of_dead`] does. Returns how many.
pub(in crate::features::identity) async fn delete_of_user(
    db: &impl Writer,
    user: UserId,
    limit: u32,
) -> Result<u64, DatabaseError> {
    db.execute(&DELETE_OF_USER, &[user.as_uuid(), &i64::from(limit)])
        .await
}
