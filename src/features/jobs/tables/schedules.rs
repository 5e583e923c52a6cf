//! The table `job_schedules`: when each schedule is due next.
//!
//! The next time is computed by PostgreSQL, from its own: the first after now that is a whole number of periods after the
//! phase, counted from 1970.

use chassis_postgres::{DatabaseError, ReadExecutor, ReadQuery, Type, WriteExecutor, WriteQuery};

use crate::features::jobs::{JobId, Rule};

static PUT: WriteQuery = WriteQuery::insert(
    "job_schedules_put",
    "
INSERT INTO job_schedules AS known (name, rule, next_run_at, paused)
SELECT name, rule, next_run_at, false
FROM (VALUES (
    $2, $3,
    to_timestamp($5 + $4 * (1 + floor((EXTRACT(EPOCH FROM clock_timestamp())::float8 + $1 - $5) / $4)))
)) AS new (name, rule, next_run_at)
WHERE NOT EXISTS (
    SELECT FROM job_schedules AS old
    WHERE old.name = new.name AND old.rule = new.rule AND old.next_run_at <= new.next_run_at
)
ON CONFLICT (name) DO UPDATE
SET rule = excluded.rule, next_run_at = excluded.next_run_at
WHERE known.rule <> excluded.rule OR known.next_run_at > excluded.next_run_at",
    &[Type::FLOAT8, Type::TEXT, Type::TEXT, Type::FLOAT8, Type::FLOAT8],
);

/// Adds a schedule, or gives it another rule. One that has this rule already stays as it is, unless its next time is later than
/// the rule's: then PostgreSQL's clock was set back. What stays is not locked either, so nobody who has it locked is waited for.
pub(in crate::features::jobs) async fn put(
    db: &impl WriteExecutor,
    offset: f64,
    name: &str,
    rule: Rule,
) -> Result<u64, DatabaseError> {
    let (text, (period, phase)) = (rule.to_string(), rule.seconds());
    db.execute(&PUT, &[&offset, &name, &text, &period, &phase])
        .await
}

static FIND_DUE: ReadQuery = ReadQuery::new(
    "job_schedules_find_due",
    "
SELECT name
FROM job_schedules
WHERE name = ANY($2) AND next_run_at <= now() + make_interval(secs => $1) AND NOT paused",
    &[Type::FLOAT8, Type::TEXT_ARRAY],
);

/// The names of those of these schedules that are due.
pub(in crate::features::jobs) async fn find_due(
    db: &impl ReadExecutor,
    offset: f64,
    names: &[&str],
) -> Result<Vec<String>, DatabaseError> {
    let rows = db.rows(&FIND_DUE, &[&offset, &names]).await?;
    rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
}

static ADVANCE: WriteQuery = WriteQuery::update(
    "job_schedules_advance",
    "
UPDATE job_schedules
SET next_run_at = to_timestamp(
        $4 + $3 * (1 + floor((EXTRACT(EPOCH FROM clock_timestamp())::float8 + $1 - $4) / $3))
    ),
    last_job_id = COALESCE($5, last_job_id)
WHERE name = (
    SELECT name
    FROM job_schedules
    WHERE name = $2 AND next_run_at <= now() + make_interval(secs => $1) AND NOT paused
    FOR UPDATE SKIP LOCKED
)",
    &[
        Type::FLOAT8,
        Type::TEXT,
        Type::FLOAT8,
        Type::FLOAT8,
        Type::UUID,
    ],
);

/// Moves a schedule on that is due. Returns whether it did: not when another replica was first, and not while somebody has its
/// row locked, for whom the jobs of this process do not wait.
pub(in crate::features::jobs) async fn advance(
    db: &impl WriteExecutor,
    offset: f64,
    name: &str,
    rule: Rule,
    job: Option<JobId>,
) -> Result<bool, DatabaseError> {
    let (job, (period, phase)) = (job.map(|id| *id.as_uuid()), rule.seconds());
    let moved = db
        .execute(&ADVANCE, &[&offset, &name, &period, &phase, &job])
        .await?;
    Ok(moved > 0)
}
