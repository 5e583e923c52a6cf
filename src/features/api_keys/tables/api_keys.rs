//! The table `api_keys`.
//!
//! A key is alive until `expires_at` and until it is revoked. A key that was rotated lives until `revoked_at`, which lies in the
//! future; any other reason counts at once, whatever the clock of the replica says that asks.
//!
//! A key of an organisation (`org_id`) would reach what the organisation has and not what its owner has: this program makes none,
//! refuses them, and makes no successor of one, which would be the owner's.

use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, WriteExecutor, WriteQuery};
use time::OffsetDateTime;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use crate::features::{
    api_keys::{KeyHash, KeyName, KeyRecord, KeyRevocation, Scopes},
    identity::{ApiKeyId, User, UserId},
};

impl TryFrom<&Row> for KeyRecord {
    type Error = DatabaseError;

    fn try_from(row: &Row) -> Result<Self, DatabaseError> {
        let name = KeyName::stored(row.try_get("name")?);
        let expires_at: Option<OffsetDateTime> = row.try_get("expires_at")?;
        let revoked_at: Option<OffsetDateTime> = row.try_get("revoked_at")?;
        Ok(Self {
            id: row.try_get::<_, Uuid>("id")?.into(),
            user_id: row.try_get::<_, Uuid>("user_id")?.into(),
            name: name.map_err(|_| DatabaseError::InvalidColumn("name"))?,
            start: row.try_get("start")?,
            scopes: Scopes::stored(row.try_get("scopes")?),
            created_at: row.try_get("created_at")?,
            expires_at: expires_at.into_iter().chain(revoked_at).min(),
            last_used_at: row.try_get("last_used_at")?,
        })
    }
}

/// A live key, with its owner.
pub(in crate::features::api_keys) struct LiveKey {
    pub(in crate::features::api_keys) id: ApiKeyId,
    pub(in crate::features::api_keys) scopes: Scopes,
    pub(in crate::features::api_keys) last_used_at: Option<OffsetDateTime>,
    pub(in crate::features::api_keys) owner: User,
}

static FIND_LIVE: ReadQuery = ReadQuery::new(
    "api_keys_find_live",
    "
SELECT k.id AS key_id, k.scopes, k.last_used_at,
       u.id, u.email, u.role, u.is_active, u.created_at, u.updated_at
FROM api_keys AS k
JOIN users AS u ON u.id = k.user_id
WHERE k.hash = $1
  AND k.org_id IS NULL
  AND (k.revoked_at IS NULL OR k.revoked_for = 'rotation' AND k.revoked_at > $2)
  AND (k.expires_at IS NULL OR k.expires_at > $2)
  AND u.is_active",
    &[Type::BYTEA, Type::TIMESTAMPTZ],
);

/// A key that is alive and of no organisation, with its owner who is active: what every request by a key asks.
pub(in crate::features::api_keys) async fn find_live(
    db: &impl ReadExecutor,
    hash: KeyHash,
    now: OffsetDateTime,
) -> Result<Option<LiveKey>, DatabaseError> {
    let row = db.optional(&FIND_LIVE, &[&hash.as_bytes(), &now]).await?;
    row.map(|row| {
        Ok(LiveKey {
            id: row.try_get::<_, Uuid>("key_id")?.into(),
            scopes: Scopes::stored(row.try_get("scopes")?),
            last_used_at: row.try_get("last_used_at")?,
            owner: User::try_from(&row)?,
        })
    })
    .transpose()
}

static LOCK_FOR_SHARE: WriteQuery = WriteQuery::select_for_update(
    "api_keys_lock_for_share",
    "
SELECT scopes
FROM api_keys
WHERE id = $1
  AND user_id = $2
  AND org_id IS NULL
  AND (revoked_at IS NULL OR revoked_for = 'rotation' AND revoked_at > $3)
  AND (expires_at IS NULL OR expires_at > $3)
FOR SHARE",
    &[Type::UUID, Type::UUID, Type::TIMESTAMPTZ],
);

/// Locks a live key of this account against changes. Returns its scopes; `None` when there is no such key.
pub(in crate::features::api_keys) async fn lock_for_share(
    db: &impl WriteExecutor,
    id: ApiKeyId,
    user: UserId,
    now: OffsetDateTime,
) -> Result<Option<Scopes>, DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 3] = [id.as_uuid(), user.as_uuid(), &now];
    let row = db.returning_optional(&LOCK_FOR_SHARE, &parameters).await?;
    row.map(|row| Ok(Scopes::stored(row.try_get("scopes")?)))
        .transpose()
}

static INSERT: WriteQuery = WriteQuery::insert(
    "api_keys_insert",
    "
INSERT INTO api_keys (id, user_id, name, hash, start, scopes, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    &[
        Type::UUID,
        Type::UUID,
        Type::TEXT,
        Type::BYTEA,
        Type::TEXT,
        Type::TEXT_ARRAY,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
    ],
);

/// Adds a key.
pub(in crate::features::api_keys) async fn insert(
    db: &impl WriteExecutor,
    key: &KeyRecord,
    hash: KeyHash,
) -> Result<(), DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 8] = [
        key.id.as_uuid(),
        key.user_id.as_uuid(),
        &key.name.as_str(),
        &hash.as_bytes(),
        &key.start,
        &key.scopes.as_slice(),
        &key.created_at,
        &key.expires_at,
    ];
    db.execute(&INSERT, &parameters).await?;
    Ok(())
}

static COUNT_LIVE: ReadQuery = ReadQuery::new(
    "api_keys_count_live",
    "
SELECT count(*) AS live
FROM api_keys
WHERE user_id = $1
  AND (revoked_at IS NULL OR revoked_for = 'rotation' AND revoked_at > $2)
  AND (expires_at IS NULL OR expires_at > $2)",
    &[Type::UUID, Type::TIMESTAMPTZ],
);

/// How many live keys an account has.
pub(in crate::features::api_keys) async fn count_live(
    db: &impl ReadExecutor,
    user: UserId,
    now: OffsetDateTime,
) -> Result<i64, DatabaseError> {
    let row = db.optional(&COUNT_LIVE, &[user.as_uuid(), &now]).await?;
    row.map_or(Ok(0), |row| Ok(row.try_get("live")?))
}

static LIST: ReadQuery = ReadQuery::new(
    "api_keys_list",
    "
SELECT id, user_id, name, start, scopes, created_at, expires_at, last_used_at, revoked_at
FROM api_keys
WHERE user_id = $1
  AND (revoked_at IS NULL OR revoked_for = 'rotation' AND revoked_at > $2)
  AND (expires_at IS NULL OR expires_at > $2)
ORDER BY created_at, id",
    &[Type::UUID, Type::TIMESTAMPTZ],
);

/// An account's live keys, oldest first.
pub(in crate::features::api_keys) async fn list(
    db: &impl ReadExecutor,
    user: UserId,
    now: OffsetDateTime,
) -> Result<Vec<KeyRecord>, DatabaseError> {
    let rows = db.rows(&LIST, &[user.as_uuid(), &now]).await?;
    rows.iter().map(KeyRecord::try_from).collect()
}

static FIND_OWNER: ReadQuery = ReadQuery::new(
    "api_keys_find_owner",
    "
SELECT user_id
FROM api_keys
WHERE id = $1",
    &[Type::UUID],
);

/// The account that a key acts for, or did.
pub(in crate::features::api_keys) async fn find_owner(
    db: &impl ReadExecutor,
    id: ApiKeyId,
) -> Result<Option<UserId>, DatabaseError> {
    let row = db.optional(&FIND_OWNER, &[id.as_uuid()]).await?;
    row.map(|row| Ok(row.try_get::<_, Uuid>("user_id")?.into()))
        .transpose()
}

static RENAME: WriteQuery = WriteQuery::update(
    "api_keys_rename",
    "
UPDATE api_keys
SET name = $4
WHERE id = $1
  AND user_id = $2
  AND (revoked_at IS NULL OR revoked_for = 'rotation' AND revoked_at > $3)
  AND (expires_at IS NULL OR expires_at > $3)
RETURNING id, user_id, name, start, scopes, created_at, expires_at, last_used_at, revoked_at",
    &[Type::UUID, Type::UUID, Type::TIMESTAMPTZ, Type::TEXT],
);

/// Gives a live key of this account another name. `None` when there is no such key.
pub(in crate::features::api_keys) async fn rename(
    db: &impl WriteExecutor,
    id: ApiKeyId,
    user: UserId,
    name: &KeyName,
    now: OffsetDateTime,
) -> Result<Option<KeyRecord>, DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 4] = [id.as_uuid(), user.as_uuid(), &now, &name.as_str()];
    let row = db.returning_optional(&RENAME, &parameters).await?;
    row.as_ref().map(KeyRecord::try_from).transpose()
}

static ROTATE: WriteQuery = WriteQuery::update(
    "api_keys_rotate",
    "
UPDATE api_keys
SET revoked_at = $4, revoked_for = 'rotation'
WHERE id = $1
  AND user_id = $2
  AND org_id IS NULL
  AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > $3)
RETURNING id, user_id, name, start, scopes, created_at, expires_at, last_used_at,
          NULL::timestamptz AS revoked_at",
    &[Type::UUID, Type::UUID, Type::TIMESTAMPTZ, Type::TIMESTAMPTZ],
);

/// Has a live key of this account end at this time, because another one takes its place. Returns it as it was; `None`
/// when there is no such key, or it was rotated before.
pub(in crate::features::api_keys) async fn rotate(
    db: &impl WriteExecutor,
    id: ApiKeyId,
    user: UserId,
    now: OffsetDateTime,
    ends_at: OffsetDateTime,
) -> Result<Option<KeyRecord>, DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 4] = [id.as_uuid(), user.as_uuid(), &now, &ends_at];
    let row = db.returning_optional(&ROTATE, &parameters).await?;
    row.as_ref().map(KeyRecord::try_from).transpose()
}

static REVOKE: WriteQuery = WriteQuery::update(
    "api_keys_revoke",
    "
UPDATE api_keys
SET revoked_at = $3, revoked_for = $4
WHERE id = $1
  AND user_id = $2
  AND (revoked_at IS NULL OR revoked_for = 'rotation' AND revoked_at > $3)
  AND (expires_at IS NULL OR expires_at > $3)",
    &[Type::UUID, Type::UUID, Type::TIMESTAMPTZ, Type::TEXT],
);

/// Ends a live key of this account. `false` when there is none.
pub(in crate::features::api_keys) async fn revoke(
    db: &impl WriteExecutor,
    id: ApiKeyId,
    user: UserId,
    now: OffsetDateTime,
    reason: KeyRevocation,
) -> Result<bool, DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 4] =
        [id.as_uuid(), user.as_uuid(), &now, &reason.as_str()];
    Ok(db.execute(&REVOKE, &parameters).await? == 1)
}

static FIND_BY_HASH: ReadQuery = ReadQuery::new(
    "api_keys_find_by_hash",
    "
SELECT id, user_id
FROM api_keys
WHERE hash = $1",
    &[Type::BYTEA],
);

/// A key, dead or alive, and the account that it acts for.
pub(in crate::features::api_keys) async fn find_by_hash(
    db: &impl ReadExecutor,
    hash: KeyHash,
) -> Result<Option<(ApiKeyId, UserId)>, DatabaseError> {
    let row = db.optional(&FIND_BY_HASH, &[&hash.as_bytes()]).await?;
    row.map(|row| {
        let (id, user): (Uuid, Uuid) = (row.try_get("id")?, row.try_get("user_id")?);
        Ok((id.into(), user.into()))
    })
    .transpose()
}

static REVOKE_ALL: WriteQuery = WriteQuery::update(
    "api_keys_revoke_all",
    "
UPDATE api_keys
SET revoked_at = $2, revoked_for = $3
WHERE user_id = $1 AND (revoked_at IS NULL OR revoked_for = 'rotation')",
    &[Type::UUID, Type::TIMESTAMPTZ, Type::TEXT],
);

/// Ends every key of an account. Returns how many.
///
/// Those that have expired or were rotated as well: another replica, whose clock is behind, may still take them for live ones.
pub(in crate::features::api_keys) async fn revoke_all(
    db: &impl WriteExecutor,
    user: UserId,
    now: OffsetDateTime,
    reason: KeyRevocation,
) -> Result<u64, DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 3] = [user.as_uuid(), &now, &reason.as_str()];
    db.execute(&REVOKE_ALL, &parameters).await
}

static TOUCH: WriteQuery = WriteQuery::update(
    "api_keys_touch",
    "
UPDATE api_keys
SET last_used_at = $2
WHERE id = ANY(ARRAY(
    SELECT id
    FROM api_keys
    WHERE id = ANY($1) AND (last_used_at IS NULL OR last_used_at < $2)
    FOR NO KEY UPDATE SKIP LOCKED
))",
    &[Type::UUID_ARRAY, Type::TIMESTAMPTZ],
);

/// Notes that these keys were in use. Those that are locked are skipped, as `sessions_touch` does.
pub(in crate::features::api_keys) async fn touch(
    db: &impl WriteExecutor,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<u64, DatabaseError> {
    db.execute(&TOUCH, &[&ids, &now]).await
}

static DELETE_OLDEST_DEAD: WriteQuery = WriteQuery::delete(
    "api_keys_delete_oldest_dead",
    "
DELETE FROM api_keys
WHERE id = ANY(ARRAY(
    SELECT id
    FROM api_keys
    WHERE user_id = $1 AND LEAST(revoked_at, expires_at) <= $2
    ORDER BY LEAST(revoked_at, expires_at) DESC
    OFFSET $3
))",
    &[Type::UUID, Type::TIMESTAMPTZ, Type::INT8],
);

/// Removes the dead keys of an account, which is locked, beyond the `keep` that died last.
pub(in crate::features::api_keys) async fn delete_oldest_dead(
    db: &impl WriteExecutor,
    user: UserId,
    now: OffsetDateTime,
    keep: i64,
) -> Result<u64, DatabaseError> {
    let parameters: [&(dyn ToSql + Sync); 3] = [user.as_uuid(), &now, &keep];
    db.execute(&DELETE_OLDEST_DEAD, &parameters).await
}

static SWEEP: WriteQuery = WriteQuery::delete(
    "api_keys_sweep",
    "
DELETE FROM api_keys
WHERE id = ANY(ARRAY(
    SELECT id
    FROM api_keys
    WHERE LEAST(revoked_at, expires_at) <= $1
    ORDER BY LEAST(revoked_at, expires_at)
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))",
    &[Type::TIMESTAMPTZ, Type::INT8],
);

/// Removes at most `most` keys that have been dead since this time.
pub(in crate::features::api_keys) async fn sweep(
    db: &impl WriteExecutor,
    since: OffsetDateTime,
    most: i64,
) -> Result<u64, DatabaseError> {
    db.execute(&SWEEP, &[&since, &most]).await
}
