//! Locks on rows of `users`, at the strengths and in the order that `transaction.rs` explains.
//!
//! # Turns
//!
//! PostgreSQL lets a `FOR SHARE` join those that hold a row for share, past whoever waits to change it. Somebody whose
//! sessions are to end could keep a few requests of their own under way that never leave the row without a share lock, and
//! so keep away everybody who disables the account, signs it out or changes its password. Advisory locks queue: a
//! share lock waits behind an exclusive one that was asked for before. So each lock on a row is preceded by an advisory one of
//! the same kind, in the same statement and until the end of the transaction. Its key is the number of this table
//! (`user` in ASCII) and the last 32 bits of the id, which are random; two users who share them wait for each other now and then.

use chassis_postgres::{DatabaseError, WriteQuery};
use tokio_postgres::{Row, types::Type};

use super::{users::with_hash, writer::Writer};
use crate::features::identity::{PasswordHash, User, UserId};

/// A user that is locked until the transaction ends, with its password's hash.
#[derive(Debug, Clone)]
pub(in crate::features::identity) struct LockedUser {
    pub(in crate::features::identity) user: User,
    pub(in crate::features::identity) hash: PasswordHash,
}

static LOCK_FOR_SHARE: WriteQuery = WriteQuery::select_for_update(
    "users_lock_for_share",
    "
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared(1970496882, ('x' || right($1::text, 8))::bit(32)::integer)
)
SELECT id, email, password_hash, role, is_active, created_at, updated_at
FROM users
CROSS JOIN turn
WHERE id = $1
FOR SHARE OF users",
    &[Type::UUID],
);

/// Locks a user against changes. Empty when there is no such user.
pub(in crate::features::identity) async fn lock_for_share(
    db: &impl Writer,
    id: UserId,
) -> Result<Vec<LockedUser>, DatabaseError> {
    lock_one(db, &LOCK_FOR_SHARE, id).await
}

static LOCK_FOR_NO_KEY_UPDATE: WriteQuery = WriteQuery::select_for_update(
    "users_lock_for_no_key_update",
    "
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(1970496882, ('x' || right($1::text, 8))::bit(32)::integer)
)
SELECT id, email, password_hash, role, is_active, created_at, updated_at
FROM users
CROSS JOIN turn
WHERE id = $1
FOR NO KEY UPDATE OF users",
    &[Type::UUID],
);

/// Locks a user to change it, but not its address, or to change several of its sessions. Empty when there is no such user.
pub(in crate::features::identity) async fn lock_for_no_key_update(
    db: &impl Writer,
    id: UserId,
) -> Result<Vec<LockedUser>, DatabaseError> {
    lock_one(db, &LOCK_FOR_NO_KEY_UPDATE, id).await
}

static LOCK_FOR_UPDATE: WriteQuery = WriteQuery::select_for_update(
    "users_lock_for_update",
    "
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(1970496882, ('x' || right($1::text, 8))::bit(32)::integer)
)
SELECT id, email, password_hash, role, is_active, created_at, updated_at
FROM users
CROSS JOIN turn
WHERE id = $1
FOR UPDATE OF users",
    &[Type::UUID],
);

/// Locks a user to change its address. Empty when there is no such user.
pub(in crate::features::identity) async fn lock_for_update(
    db: &impl Writer,
    id: UserId,
) -> Result<Vec<LockedUser>, DatabaseError> {
    lock_one(db, &LOCK_FOR_UPDATE, id).await
}

async fn lock_one(
    db: &impl Writer,
    query: &'static WriteQuery,
    id: UserId,
) -> Result<Vec<LockedUser>, DatabaseError> {
    let rows = db.returning(query, &[id.as_uuid()]).await?;
    rows.iter().map(locked).collect()
}

static LOCK_FOR_CHANGE: WriteQuery = WriteQuery::select_for_update(
    "users_lock_for_change",
    "
SELECT u.id, u.email, u.password_hash, u.role, u.is_active, u.created_at, u.updated_at
FROM (
    SELECT id
    FROM users
    WHERE id = $1 OR id = $2 OR (role = 'OWNER' AND is_active)
    ORDER BY id
) AS concerned
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN concerned.id = $2
        THEN pg_advisory_xact_lock(1970496882, ('x' || right(concerned.id::text, 8))::bit(32)::integer)
        ELSE pg_advisory_xact_lock_shared(1970496882, ('x' || right(concerned.id::text, 8))::bit(32)::integer)
    END::text AS taken
    OFFSET 0
) AS turn
CROSS JOIN LATERAL (
    SELECT *
    FROM (
        SELECT id, email, password_hash, role, is_active, created_at, updated_at
        FROM users
        WHERE id = concerned.id AND id = $2 AND turn.taken IS NOT NULL
        FOR NO KEY UPDATE
    ) AS target
    UNION ALL
    SELECT *
    FROM (
        SELECT id, email, password_hash, role, is_active, created_at, updated_at
        FROM users
        WHERE id = concerned.id AND id <> $2 AND turn.taken IS NOT NULL
        FOR SHARE
    ) AS other
) AS u",
    &[Type::UUID, Type::UUID],
);

/// Locks the user that will be changed, and against changes the caller and every active owner.
///
/// One statement, in the order of ids, so that two of these wait for each other in one direction
/// only: the nested loop takes one lock for each row of the ordered list. What the list says
/// about roles may be stale after a wait; the rows that are returned are as they are under lock.
pub(in crate::features::identity) async fn lock_for_change(
    db: &impl Writer,
    caller: Option<UserId>,
    target: UserId,
) -> Result<Vec<LockedUser>, DatabaseError> {
    lock_concerned(db, &LOCK_FOR_CHANGE, caller, target).await
}

static LOCK_FOR_DELETE: WriteQuery = WriteQuery::select_for_update(
    "users_lock_for_delete",
    "
SELECT u.id, u.email, u.password_hash, u.role, u.is_active, u.created_at, u.updated_at
FROM (
    SELECT id
    FROM users
    WHERE id = $1 OR id = $2 OR (role = 'OWNER' AND is_active)
    ORDER BY id
) AS concerned
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN concerned.id = $2
        THEN pg_advisory_xact_lock(1970496882, ('x' || right(concerned.id::text, 8))::bit(32)::integer)
        ELSE pg_advisory_xact_lock_shared(1970496882, ('x' || right(concerned.id::text, 8))::bit(32)::integer)
    END::text AS taken
    OFFSET 0
) AS turn
CROSS JOIN LATERAL (
    SELECT *
    FROM (
        SELECT id, email, password_hash, role, is_active, created_at, updated_at
        FROM users
        WHERE id = concerned.id AND id = $2 AND turn.taken IS NOT NULL
        FOR UPDATE
    ) AS target
    UNION ALL
    SELECT *
    FROM (
        SELECT id, email, password_hash, role, is_active, created_at, updated_at
        FROM users
        WHERE id = concerned.id AND id <> $2 AND turn.taken IS NOT NULL
        FOR SHARE
    ) AS other
) AS u",
    &[Type::UUID, Type::UUID],
);

/// Locks the user that will be deleted, and the same others as [`lock_for_change`] in the same order.
pub(in crate::features::identity) async fn lock_for_delete(
    db: &impl Writer,
    caller: Option<UserId>,
    target: UserId,
) -> Result<Vec<LockedUser>, DatabaseError> {
    lock_concerned(db, &LOCK_FOR_DELETE, caller, target).await
}

async fn lock_concerned(
    db: &impl Writer,
    query: &'static WriteQuery,
    caller: Option<UserId>,
    target: UserId,
) -> Result<Vec<LockedUser>, DatabaseError> {
    let caller = caller.map(|id| *id.as_uuid());
    let rows = db.returning(query, &[&caller, target.as_uuid()]).await?;
    rows.iter().map(locked).collect()
}

fn locked(row: &Row) -> Result<LockedUser, DatabaseError> {
    let (user, hash) = with_hash(row)?;
    Ok(LockedUser { user, hash })
}
