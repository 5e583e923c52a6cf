//! Locks on rows of `users`, at the strengths and in the order that `transaction.rs` explains.

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
SELECT id, email, password_hash, role, is_active, created_at, updated_at
FROM users
WHERE id = $1
FOR SHARE",
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
SELECT id, email, password_hash, role, is_active, created_at, updated_at
FROM users
WHERE id = $1
FOR NO KEY UPDATE",
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
SELECT id, email, password_hash, role, is_active, created_at, updated_at
FROM users
WHERE id = $1
FOR UPDATE",
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
    SELECT *
    FROM (
        SELECT id, email, password_hash, role, is_active, created_at, updated_at
        FROM users
        WHERE id = concerned.id AND id = $2
        FOR NO KEY UPDATE
    ) AS target
    UNION ALL
    SELECT *
    FROM (
        SELECT id, email, password_hash, role, is_active, created_at, updated_at
        FROM users
        WHERE id = concerned.id AND id <> $2
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
    SELECT *
    FROM (
        SELECT id, email, password_hash, role, is_active, created_at, updated_at
        FROM users
        WHERE id = concerned.id AND id = $2
        FOR UPDATE
    ) AS target
    UNION ALL
    SELECT *
    FROM (
        SELECT id, email, password_hash, role, is_active, created_at, updated_at
        FROM users
        WHERE id = concerned.id AND id <> $2
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
