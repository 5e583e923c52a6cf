//! The table `recovery_requests`: addresses that a job looks at later.

use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, WriteExecutor, WriteQuery};
use time::OffsetDateTime;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

static INSERT: WriteQuery = WriteQuery::insert(
    "recovery_requests_insert",
    "
INSERT INTO recovery_requests (id, email, password_hash, created_at)
VALUES ($1, $2, $3, $4)",
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TIMESTAMPTZ],
);

/// Keeps an address for a job. Returns what the job finds it by.
pub(in crate::features::recovery) async fn insert(
    db: &impl WriteExecutor,
    email: &str,
    password_hash: Option<&str>,
    now: OffsetDateTime,
) -> Result<Uuid, DatabaseError> {
    let id = Uuid::now_v7();
    let parameters: [&(dyn ToSql + Sync); 4] = [&id, &email, &password_hash, &now];
    db.execute(&INSERT, &parameters).await?;
    Ok(id)
}

static FIND: ReadQuery = ReadQuery::new(
    "recovery_requests_find",
    "
SELECT email, password_hash
FROM recovery_requests
WHERE id = $1",
    &[Type::UUID],
);

/// The address, and the hash of a registration. `None` when the job was done before.
pub(in crate::features::recovery) async fn find(
    db: &impl ReadExecutor,
    id: Uuid,
) -> Result<Option<(String, Option<String>)>, DatabaseError> {
    let row = db.optional(&FIND, &[&id]).await?;
    row.map(|row| Ok((row.try_get("email")?, row.try_get("password_hash")?)))
        .transpose()
}

static DELETE: WriteQuery = WriteQuery::delete(
    "recovery_requests_delete",
    "
DELETE FROM recovery_requests
WHERE id = $1",
    &[Type::UUID],
);

/// Forgets it. Returns whether it was there.
pub(in crate::features::recovery) async fn delete(
    db: &impl WriteExecutor,
    id: Uuid,
) -> Result<bool, DatabaseError> {
    Ok(db.execute(&DELETE, &[&id]).await? == 1)
}

static SWEEP: WriteQuery = WriteQuery::delete(
    "recovery_requests_sweep",
    "
DELETE FROM recovery_requests
WHERE id IN (
    SELECT id FROM recovery_requests
    WHERE created_at < $1
    ORDER BY created_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)",
    &[Type::TIMESTAMPTZ, Type::INT8],
);

/// Deletes at most so many that were kept before this time: their jobs are dead. Returns how many.
pub(in crate::features::recovery) async fn sweep(
    db: &impl WriteExecutor,
    before: OffsetDateTime,
    most: i64,
) -> Result<u64, DatabaseError> {
    db.execute(&SWEEP, &[&before, &most]).await
}
