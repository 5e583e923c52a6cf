//! The table `auth_networks`: from which networks an account signed in before.
//!
//! A network is stored as `sha256(id of the account ‖ its address)`, which PostgreSQL computes: so the account and its
//! networks are looked up by one statement, before the id of the account is known here. See [`super::super::networks`].

use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, WriteQuery};
use time::OffsetDateTime;
use tokio_postgres::types::{ToSql, Type};

use super::{
    users::{CurrentPassword, with_password},
    writer::Writer,
};
use crate::features::identity::{Email, User, UserId};

static FIND_BY_EMAIL: ReadQuery = ReadQuery::new(
    "auth_networks_find_by_email",
    "
SELECT u.id, u.email, u.password_hash, u.role, u.is_active, u.created_at, u.updated_at,
       c.changed_at AS password_changed_at, n.network IS NOT NULL AS is_familiar
FROM (SELECT '00000000-0000-0000-0000-000000000000'::uuid AS nobody) AS asked
LEFT JOIN users AS u ON u.email = $1
LEFT JOIN credentials AS c ON c.user_id = COALESCE(u.id, nobody) AND c.kind = 'password'
LEFT JOIN auth_networks AS n
    ON n.user_id = COALESCE(u.id, nobody)
    AND n.network = sha256(uuid_send(COALESCE(u.id, nobody)) || $2)
    AND n.last_used_at > $3",
    &[Type::TEXT, Type::BYTEA, Type::TIMESTAMPTZ],
);

/// The user of this address, with the password to compare one with, and whether it signed in from this network
/// since then. One look-up does as much for an address that nobody has.
pub(in crate::features::identity) async fn find_by_email(
    db: &impl ReadExecutor,
    email: &Email,
    network: Option<&[u8]>,
    since: OffsetDateTime,
) -> Result<Option<(User, CurrentPassword, bool)>, DatabaseError> {
    let row = db
        .optional(&FIND_BY_EMAIL, &[&email.as_str(), &network, &since])
        .await?;
    let Some(row) = row else { return Ok(None) };
    if row.try_get::<_, Option<uuid::Uuid>>("id")?.is_none() {
        return Ok(None);
    }
    let (user, password) = with_password(&row)?;
    Ok(Some((user, password, row.try_get("is_familiar")?)))
}

static IS_FAMILIAR: ReadQuery = ReadQuery::new(
    "auth_networks_is_familiar",
    "
SELECT network
FROM auth_networks
WHERE user_id = $1 AND network = sha256(uuid_send($1) || $2) AND last_used_at > $3",
    &[Type::UUID, Type::BYTEA, Type::TIMESTAMPTZ],
);

/// Whether this user signed in from this network since then.
pub(in crate::features::identity) async fn is_familiar(
    db: &impl ReadExecutor,
    user_id: UserId,
    network: &[u8],
    since: OffsetDateTime,
) -> Result<bool, DatabaseError> {
    let row = db
        .optional(&IS_FAMILIAR, &[user_id.as_uuid(), &network, &since])
        .await?;
    Ok(row.is_some())
}

static REMEMBER: WriteQuery = WriteQuery::insert(
    "auth_networks_remember",
    "
WITH remembered AS (
    INSERT INTO auth_networks AS known (user_id, network, last_used_at)
    VALUES ($1, sha256(uuid_send($1) || $2), $3)
    ON CONFLICT (user_id, network) DO UPDATE
    SET last_used_at = GREATEST(known.last_used_at, excluded.last_used_at)
    RETURNING xmax = 0 AS is_new
),
forgotten AS (
    DELETE FROM auth_networks
    WHERE user_id = $1 AND network = ANY(ARRAY(
        SELECT network
        FROM auth_networks
        WHERE user_id = $1 AND network <> sha256(uuid_send($1) || $2)
        ORDER BY last_used_at DESC, network
        OFFSET $4
    ))
)
SELECT is_new
FROM remembered",
    &[Type::UUID, Type::BYTEA, Type::TIMESTAMPTZ, Type::INT8],
);

/// Remembers a network of a user, who is locked, and forgets the ones that were not used for longest beyond this many.
/// Returns whether it was not remembered before.
///
/// A row that was just inserted has no `xmax`. The part that forgets does not see the row that the first part adds, so it keeps
/// one fewer.
pub(in crate::features::identity) async fn remember(
    db: &impl Writer,
    user_id: UserId,
    network: &[u8],
    now: OffsetDateTime,
    keep: u32,
) -> Result<bool, DatabaseError> {
    let others = i64::from(keep) - 1;
    let parameters: [&(dyn ToSql + Sync); 4] = [user_id.as_uuid(), &network, &now, &others];
    let row = db.returning_optional(&REMEMBER, &parameters).await?;
    row.map_or(Ok(false), |row| Ok(row.try_get("is_new")?))
}

static FORGET_ALL: WriteQuery = WriteQuery::delete(
    "auth_networks_forget_all",
    "
DELETE FROM auth_networks
WHERE user_id = $1",
    &[Type::UUID],
);

/// Forgets every network of a user.
pub(in crate::features::identity) async fn forget_all(
    db: &impl Writer,
    user_id: UserId,
) -> Result<(), DatabaseError> {
    db.execute(&FORGET_ALL, &[user_id.as_uuid()]).await?;
    Ok(())
}

static DELETE_UNUSED: WriteQuery = WriteQuery::delete(
    "auth_networks_delete_unused",
    "
DELETE FROM auth_networks
WHERE ctid = ANY(ARRAY(
    SELECT ctid
    FROM auth_networks
    WHERE last_used_at <= $1
    ORDER BY last_used_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))",
    &[Type::TIMESTAMPTZ, Type::INT8],
);

/// Removes up to `limit` rows that were last used then or before. Rows that another replica is at are left to it.
///
/// By their places in the table, which locked rows keep.
pub(in crate::features::identity) async fn delete_unused(
    db: &impl Writer,
    since: OffsetDateTime,
    limit: u32,
) -> Result<u64, DatabaseError> {
    db.execute(&DELETE_UNUSED, &[&since, &i64::from(limit)])
        .await
}
