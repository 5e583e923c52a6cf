//! The table `rate_limits`: a row for each bucket that is not full.

use std::time::Duration;

use chassis_http::{Quota, TakeResult};
use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, WriteExecutor, WriteQuery};
use tokio_postgres::{Row, types::Type};

use super::super::key::LimitKey;

static TAKE: WriteQuery = WriteQuery::insert(
    "rate_limits_take",
    "
WITH taken AS (
    INSERT INTO rate_limits AS held (key, full_at)
    VALUES ($1, now() + make_interval(secs => $2))
    ON CONFLICT (key) DO UPDATE
    SET full_at = make_interval(secs => $2)
        + CASE WHEN held.full_at > now() + make_interval(secs => 2 * $3) THEN now()
               ELSE GREATEST(held.full_at, now()) END
    WHERE held.full_at > now() + make_interval(secs => 2 * $3)
       OR GREATEST(held.full_at, now()) + make_interval(secs => $2) <= now() + make_interval(secs => $3)
    RETURNING full_at
)
SELECT true AS is_taken, EXTRACT(EPOCH FROM full_at - now())::float8 AS full_in
FROM taken
UNION ALL
SELECT false, EXTRACT(EPOCH FROM full_at - now())::float8
FROM rate_limits
WHERE key = $1 AND NOT EXISTS (SELECT FROM taken)",
    &[Type::BYTEA, Type::FLOAT8, Type::FLOAT8],
);

/// Takes a token from the bucket of this key, in one statement, so that no two take the same one.
///
/// The time is PostgreSQL's `now()`: one clock for all replicas, whose own clocks may differ. Where that was set back, by a
/// failover for example, a bucket that looks emptier than empty by a window and more is full. Not by less: `now()` is when
/// the statement began, which another one may have outrun that it waited for.
pub(in crate::features::limits) async fn take(
    db: &impl WriteExecutor,
    key: LimitKey,
    quota: &Quota,
) -> Result<TakeResult, DatabaseError> {
    let (interval, window) = (quota.interval(), quota.window());
    let parameters = (interval.as_secs_f64(), window.as_secs_f64());
    let row = db
        .returning_optional(&TAKE, &[&key.as_bytes(), &parameters.0, &parameters.1])
        .await?;
    // No row: another attempt inserted the bucket, and emptied it, after this statement's snapshot.
    let Some(row) = row else {
        return Ok(Err(quota.exceeded(window)));
    };
    let full_in = full_in(&row)?;
    if row.try_get("is_taken")? {
        return Ok(Ok(quota.status(full_in)));
    }
    Ok(Err(quota.exceeded(full_in)))
}

static PEEK: ReadQuery = ReadQuery::new(
    "rate_limits_peek",
    "
SELECT EXTRACT(EPOCH FROM full_at - now())::float8 AS full_in
FROM rate_limits
WHERE key = $1",
    &[Type::BYTEA],
);

/// Looks at the bucket of this key, and takes nothing: what the next [`take`] would find.
pub(in crate::features::limits) async fn peek(
    db: &impl ReadExecutor,
    key: LimitKey,
    quota: &Quota,
) -> Result<TakeResult, DatabaseError> {
    let row = db.optional(&PEEK, &[&key.as_bytes()]).await?;
    let full_in = row.as_ref().map(full_in).transpose()?;
    Ok(quota.peek(full_in.unwrap_or_default()))
}

/// A bucket that has been full for a while is full in no time.
fn full_in(row: &Row) -> Result<Duration, DatabaseError> {
    let seconds = row.try_get("full_in")?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

static DELETE_FULL: WriteQuery = WriteQuery::delete(
    "rate_limits_delete_full",
    "
DELETE FROM rate_limits
WHERE key = ANY(ARRAY(
    SELECT key
    FROM rate_limits
    WHERE full_at <= now()
    LIMIT $1
    FOR UPDATE SKIP LOCKED
))",
    &[Type::INT8],
);

/// Removes up to `limit` buckets that are full again. Rows that another replica has locked are skipped.
pub(in crate::features::limits) async fn delete_full(
    db: &impl WriteExecutor,
    limit: u32,
) -> Result<u64, DatabaseError> {
    db.execute(&DELETE_FULL, &[&i64::from(limit)]).await
}
