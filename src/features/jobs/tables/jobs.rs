//! The table `jobs` as those use it who enqueue, watch and administer.

use std::time::Duration;

use chassis_postgres::{
    DatabaseError, ReadExecutor, ReadQuery, Row, Type, WriteExecutor, WriteQuery,
};
use uuid::Uuid;

use crate::features::jobs::{JobId, handlers::NewJob};

static INSERT: WriteQuery = WriteQuery::insert(
    "jobs_insert",
    "
INSERT INTO jobs (
    id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim,
    unique_key, traceparent, correlation_id, created_at
)
VALUES (
    $3, $4, $5::jsonb, clock_timestamp() + make_interval(secs => $1 + $2), $6, 'queued', 0, $7, 0, 0,
    $8, $9, $10, clock_timestamp() + make_interval(secs => $1)
)
ON CONFLICT (kind, unique_key) WHERE unique_key IS NOT NULL AND state IN ('queued', 'running') DO NOTHING",
    &[
        Type::FLOAT8,
        Type::FLOAT8,
        Type::UUID,
        Type::TEXT,
        Type::TEXT,
        Type::INT2,
        Type::INT4,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
    ],
);

/// Adds a job. Returns whether it did: not when one with the same key waits or runs.
pub(in crate::features::jobs) async fn insert(
    db: &impl WriteExecutor,
    offset: f64,
    delay: Duration,
    job: &NewJob,
) -> Result<bool, DatabaseError> {
    let inserted = db
        .execute(
            &INSERT,
            &[
                &offset,
                &delay.as_secs_f64(),
                job.id.as_uuid(),
                &job.kind,
                &job.payload,
                &job.priority.number(),
                &job.max_attempts,
                &job.unique_key,
                &job.origin.traceparent,
                &job.origin.correlation_id,
            ],
        )
        .await?;
    Ok(inserted > 0)
}

static COUNT: ReadQuery = ReadQuery::new(
    "jobs_count",
    "
SELECT 'queued' AS state, count(*) AS total
FROM (SELECT FROM jobs WHERE state = 'queued' LIMIT $1) AS counted
UNION ALL
SELECT 'running', count(*)
FROM (SELECT FROM jobs WHERE state = 'running' LIMIT $1) AS counted
UNION ALL
SELECT 'dead', count(*)
FROM (SELECT FROM jobs WHERE state = 'dead' LIMIT $1) AS counted",
    &[Type::INT8],
);

/// How many jobs there are in each state, counted up to `most`.
pub(in crate::features::jobs) async fn count(
    db: &impl ReadExecutor,
    most: u32,
) -> Result<Vec<(String, i64)>, DatabaseError> {
    let rows = db.rows(&COUNT, &[&i64::from(most)]).await?;
    let read = |row: &Row| Ok((row.try_get("state")?, row.try_get("total")?));
    rows.iter().map(read).collect()
}

static OLDEST_DUE: ReadQuery = ReadQuery::new(
    "jobs_oldest_due",
    "
WITH RECURSIVE earliest AS (
    (
        SELECT kind, priority, run_at
        FROM jobs
        WHERE state = 'queued'
        ORDER BY kind, priority, run_at
        LIMIT 1
    )
    UNION ALL
    SELECT following.kind, following.priority, following.run_at
    FROM earliest
    CROSS JOIN LATERAL (
        SELECT kind, priority, run_at
        FROM jobs
        WHERE state = 'queued' AND (kind, priority) > (earliest.kind, earliest.priority)
        ORDER BY kind, priority, run_at
        LIMIT 1
    ) AS following
)
SELECT GREATEST(0, EXTRACT(EPOCH FROM clock_timestamp() - min(run_at))::float8 + $1) AS seconds
FROM earliest",
    &[Type::FLOAT8],
);

/// For how many seconds the job has been due that has been due longest, whoever knows its kind. Zero when none is.
///
/// It visits the first row of each kind and priority, and no other.
pub(in crate::features::jobs) async fn oldest_due(
    db: &impl ReadExecutor,
    offset: f64,
) -> Result<f64, DatabaseError> {
    let row = db.optional(&OLDEST_DUE, &[&offset]).await?;
    let seconds = row.map(|row| row.try_get("seconds")).transpose()?;
    Ok(seconds.unwrap_or_default())
}

static LIST: ReadQuery = ReadQuery::new(
    "jobs_list",
    "
SELECT id::text, kind, state, attempt || '/' || max_attempts AS failed, losses::text AS lost,
    date_trunc('second', clock_timestamp() + make_interval(secs => $1) - created_at)::text AS age,
    CASE WHEN state <> 'dead'
        THEN date_trunc('second', run_at - clock_timestamp() - make_interval(secs => $1))::text
    END AS due_in,
    split_part(traceparent, '-', 2) AS trace_id, left(last_error, 60) AS error
FROM jobs
WHERE ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR kind = $3)
ORDER BY jobs.id DESC
LIMIT $4",
    &[Type::FLOAT8, Type::TEXT, Type::TEXT, Type::INT8],
);

/// What [`list`] tells of a job.
pub(in crate::features::jobs) const COLUMNS: [&str; 9] = [
    "id", "kind", "state", "failed", "lost", "age", "due_in", "trace_id", "error",
];

/// The newest jobs in this state and of this kind: a text for each of [`COLUMNS`], where there is one.
pub(in crate::features::jobs) async fn list(
    db: &impl ReadExecutor,
    offset: f64,
    state: Option<&str>,
    kind: Option<&str>,
    limit: u32,
) -> Result<Vec<[Option<String>; 9]>, DatabaseError> {
    let rows = db
        .rows(&LIST, &[&offset, &state, &kind, &i64::from(limit)])
        .await?;
    let read = |row: &Row| {
        let mut cells = <[Option<String>; 9]>::default();
        for (cell, column) in cells.iter_mut().zip(COLUMNS) {
            *cell = row.try_get(column)?;
        }
        Ok(cells)
    };
    rows.iter().map(read).collect()
}

static SHOW: ReadQuery = ReadQuery::new(
    "jobs_show",
    "
SELECT key, value
FROM (
    SELECT jobs.*, split_part(traceparent, '-', 2) AS trace_id
    FROM jobs
    WHERE id = $1
) AS job
CROSS JOIN LATERAL json_each_text(row_to_json(job))
WHERE value IS NOT NULL",
    &[Type::UUID],
);

/// What the table says of a job, as names and texts. Nothing when there is none.
pub(in crate::features::jobs) async fn show(
    db: &impl ReadExecutor,
    id: JobId,
) -> Result<Vec<(String, String)>, DatabaseError> {
    let rows = db.rows(&SHOW, &[id.as_uuid()]).await?;
    let read = |row: &Row| Ok((row.try_get("key")?, row.try_get("value")?));
    rows.iter().map(read).collect()
}

static RETRY: WriteQuery = WriteQuery::update(
    "jobs_retry",
    "
UPDATE jobs
SET state = 'queued',
    run_at = clock_timestamp() + make_interval(secs => $1),
    attempt = 0,
    losses = 0,
    died_at = NULL
WHERE id = $2 AND state <> 'running'",
    &[Type::FLOAT8, Type::UUID],
);

/// Makes a job due now, with all its attempts. Returns whether there was one that did not run.
pub(in crate::features::jobs) async fn retry(
    db: &impl WriteExecutor,
    offset: f64,
    id: JobId,
) -> Result<bool, DatabaseError> {
    Ok(db.execute(&RETRY, &[&offset, id.as_uuid()]).await? > 0)
}

static FIND_DEAD: ReadQuery = ReadQuery::new(
    "jobs_find_dead",
    "
SELECT id
FROM jobs
WHERE state = 'dead' AND kind = $1 AND ($2::uuid IS NULL OR id > $2)
ORDER BY id
LIMIT $3",
    &[Type::TEXT, Type::UUID, Type::INT8],
);

/// The dead of a kind, in the order of their ids, behind this one.
pub(in crate::features::jobs) async fn find_dead(
    db: &impl ReadExecutor,
    kind: &str,
    behind: Option<JobId>,
    limit: u32,
) -> Result<Vec<JobId>, DatabaseError> {
    let behind = behind.map(|id| *id.as_uuid());
    let rows = db
        .rows(&FIND_DEAD, &[&kind, &behind, &i64::from(limit)])
        .await?;
    let read = |row: &Row| {
        let id: Uuid = row.try_get("id")?;
        Ok(id.into())
    };
    rows.iter().map(read).collect()
}

static DELETE: WriteQuery = WriteQuery::delete(
    "jobs_delete",
    "
DELETE FROM jobs
WHERE id = $1",
    &[Type::UUID],
);

/// Removes a job in any state. Returns whether there was one.
pub(in crate::features::jobs) async fn delete(
    db: &impl WriteExecutor,
    id: JobId,
) -> Result<bool, DatabaseError> {
    Ok(db.execute(&DELETE, &[id.as_uuid()]).await? > 0)
}

static DELETE_DEAD: WriteQuery = WriteQuery::delete(
    "jobs_delete_dead",
    "
DELETE FROM jobs
WHERE id = ANY(ARRAY(
    SELECT id
    FROM jobs
    WHERE state = 'dead'
        AND died_at <= now() + make_interval(secs => $1)
        AND ($2::text IS NULL OR kind = $2)
    ORDER BY died_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED
))",
    &[Type::FLOAT8, Type::TEXT, Type::INT8],
);

/// Removes up to `limit` jobs that have been dead for so long, of one kind or of all.
pub(in crate::features::jobs) async fn delete_dead(
    db: &impl WriteExecutor,
    offset: f64,
    age: Duration,
    kind: Option<&str>,
    limit: u32,
) -> Result<u64, DatabaseError> {
    let before = offset - age.as_secs_f64();
    db.execute(&DELETE_DEAD, &[&before, &kind, &i64::from(limit)])
        .await
}
