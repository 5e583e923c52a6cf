//! The table `jobs` as a worker uses it: claims, leases, and the ends of runs.
//!
//! Whatever concerns a run names the id and the claim, and requires that the job is running: a run whose lease was lost
//! changes no row. Such a statement finds its rows by their ids. That is why it names them twice, and asks for a `worker`,
//! which exactly a running job has: by `state` PostgreSQL may read every job that runs anywhere, and hold each against each
//! of these.

use std::{collections::HashSet, time::Duration};

use chassis_postgres::{DatabaseError, Row, Type, WriteExecutor, WriteQuery};
use chassis_telemetry::Origin;
use uuid::Uuid;

use crate::features::jobs::{JobId, Priority};

/// One run of a job: its id and its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::features::jobs) struct Lease {
    pub(in crate::features::jobs) id: JobId,
    pub(in crate::features::jobs) claim: i64,
}

impl TryFrom<&Row> for Lease {
    type Error = DatabaseError;

    fn try_from(row: &Row) -> Result<Self, DatabaseError> {
        let id: Uuid = row.try_get("id")?;
        let claim = row.try_get("claim")?;
        Ok(Self {
            id: id.into(),
            claim,
        })
    }
}

/// The two columns of leases.
fn columns(leases: &[Lease]) -> (Vec<Uuid>, Vec<i64>) {
    let pairs = leases
        .iter()
        .map(|lease| (*lease.id.as_uuid(), lease.claim));
    pairs.unzip()
}

/// A job that this process is to run.
#[derive(Debug)]
pub(in crate::features::jobs) struct ClaimedJob {
    pub(in crate::features::jobs) lease: Lease,
    pub(in crate::features::jobs) kind: String,
    pub(in crate::features::jobs) payload: String,
    /// How many runs failed before.
    pub(in crate::features::jobs) failures: u32,
    pub(in crate::features::jobs) max_attempts: u32,
    pub(in crate::features::jobs) origin: Origin,
    /// How long it had been due.
    pub(in crate::features::jobs) wait: Duration,
}

impl TryFrom<&Row> for ClaimedJob {
    type Error = DatabaseError;

    fn try_from(row: &Row) -> Result<Self, DatabaseError> {
        let count = |name| row.try_get(name).map(i32::unsigned_abs);
        Ok(Self {
            lease: Lease::try_from(row)?,
            kind: row.try_get("kind")?,
            payload: row.try_get("payload")?,
            failures: count("attempt")?,
            max_attempts: count("max_attempts")?,
            origin: Origin {
                traceparent: row.try_get("traceparent")?,
                correlation_id: row.try_get("correlation_id")?,
            },
            wait: Duration::try_from_secs_f64(row.try_get("wait")?).unwrap_or_default(),
        })
    }
}

static CLAIM: WriteQuery = WriteQuery::update(
    "jobs_claim",
    "
UPDATE jobs
SET state = 'running',
    claim = claim + 1,
    worker = $5,
    lease_until = clock_timestamp() + make_interval(secs => $1 + $6)
WHERE id = ANY(ARRAY(
    SELECT due.id
    FROM unnest($2, $3) AS probe (priority, kind)
    CROSS JOIN LATERAL (
        SELECT id
        FROM jobs
        WHERE state = 'queued'
            AND kind = probe.kind
            AND priority = probe.priority
            AND run_at <= now() + make_interval(secs => $1)
        ORDER BY run_at, id
        LIMIT $4
        FOR UPDATE SKIP LOCKED
    ) AS due
    LIMIT $4
))
RETURNING id, claim, kind, payload::text AS payload, attempt, max_attempts, traceparent, correlation_id,
    EXTRACT(EPOCH FROM clock_timestamp() - run_at)::float8 + $1 AS wait",
    &[
        Type::FLOAT8,
        Type::INT2_ARRAY,
        Type::TEXT_ARRAY,
        Type::INT8,
        Type::TEXT,
        Type::FLOAT8,
    ],
);

/// Claims up to `limit` due jobs for this worker, those of the first probes first.
///
/// The probes are made in turn, in the order in which they are given, and no more of them than it takes: a row is
/// locked when it is found, and rows that another worker has locked are passed over.
pub(in crate::features::jobs) async fn claim(
    db: &impl WriteExecutor,
    offset: f64,
    probes: &[(Priority, &str)],
    limit: usize,
    worker: &str,
    lease: Duration,
) -> Result<Vec<ClaimedJob>, DatabaseError> {
    let probes = probes
        .iter()
        .map(|(priority, kind)| (priority.number(), *kind));
    let (priorities, kinds): (Vec<i16>, Vec<&str>) = probes.unzip();
    let (limit, lease) = (
        i64::try_from(limit).unwrap_or(i64::MAX),
        lease.as_secs_f64(),
    );
    let claimed = db
        .returning(
            &CLAIM,
            &[&offset, &priorities, &kinds, &limit, &worker, &lease],
        )
        .await?;
    claimed.iter().map(ClaimedJob::try_from).collect()
}

static RENEW: WriteQuery = WriteQuery::update(
    "jobs_renew_leases",
    "
UPDATE jobs AS job
SET lease_until = clock_timestamp() + make_interval(secs => $1)
FROM unnest($2, $3) AS held (id, claim)
WHERE job.id = ANY($2) AND (job.id, job.claim) = (held.id, held.claim) AND job.worker IS NOT NULL
RETURNING job.id, job.claim",
    &[Type::FLOAT8, Type::UUID_ARRAY, Type::INT8_ARRAY],
);

/// Renews leases, expired ones too as long as nobody took them. Returns those that are still held.
pub(in crate::features::jobs) async fn renew(
    db: &impl WriteExecutor,
    offset: f64,
    lease: Duration,
    leases: &[Lease],
) -> Result<HashSet<Lease>, DatabaseError> {
    let ((ids, claims), seconds) = (columns(leases), offset + lease.as_secs_f64());
    let rows = db.returning(&RENEW, &[&seconds, &ids, &claims]).await?;
    rows.iter().map(Lease::try_from).collect()
}

static FINISH: WriteQuery = WriteQuery::delete(
    "jobs_finish",
    "
DELETE FROM jobs AS job
USING unnest($1, $2) AS done (id, claim)
WHERE job.id = ANY($1) AND (job.id, job.claim) = (done.id, done.claim) AND job.worker IS NOT NULL
RETURNING job.id, job.claim",
    &[Type::UUID_ARRAY, Type::INT8_ARRAY],
);

/// Removes jobs whose runs succeeded. Returns those whose lease was held.
pub(in crate::features::jobs) async fn finish(
    db: &impl WriteExecutor,
    leases: &[Lease],
) -> Result<HashSet<Lease>, DatabaseError> {
    let (ids, claims) = columns(leases);
    let rows = db.returning(&FINISH, &[&ids, &claims]).await?;
    rows.iter().map(Lease::try_from).collect()
}

static PUT_BACK: WriteQuery = WriteQuery::update(
    "jobs_put_back",
    "
UPDATE jobs AS job
SET state = CASE WHEN ended.delay IS NULL THEN 'dead' ELSE 'queued' END,
    died_at = CASE WHEN ended.delay IS NULL THEN clock_timestamp() + make_interval(secs => $1) END,
    attempt = CASE WHEN ended.error IS NULL THEN job.attempt ELSE job.attempt + 1 END,
    run_at = CASE
        WHEN ended.error IS NULL THEN job.run_at
        ELSE clock_timestamp() + make_interval(secs => $1 + COALESCE(ended.delay, 0))
    END,
    last_error = COALESCE(ended.error, job.last_error),
    worker = NULL,
    lease_until = NULL
FROM unnest($2, $3, $4, $5) AS ended (id, claim, error, delay)
WHERE job.id = ANY($2) AND (job.id, job.claim) = (ended.id, ended.claim) AND job.worker IS NOT NULL
RETURNING job.id, job.claim",
    &[
        Type::FLOAT8,
        Type::UUID_ARRAY,
        Type::INT8_ARRAY,
        Type::TEXT_ARRAY,
        Type::FLOAT8_ARRAY,
    ],
);

/// A run that did not succeed.
pub(in crate::features::jobs) struct PutBack<'a> {
    pub(in crate::features::jobs) lease: Lease,
    /// Why it failed, which counts; nothing when it was not run to its end.
    pub(in crate::features::jobs) error: Option<&'a str>,
    /// When a failed one is tried again; nothing when it is not.
    pub(in crate::features::jobs) retry_in: Option<Duration>,
}

/// Puts jobs back, or ends them. Returns those whose lease was held.
pub(in crate::features::jobs) async fn put_back(
    db: &impl WriteExecutor,
    offset: f64,
    runs: &[PutBack<'_>],
) -> Result<HashSet<Lease>, DatabaseError> {
    let leases: Vec<_> = runs.iter().map(|run| run.lease).collect();
    let (ids, claims) = columns(&leases);
    let errors: Vec<_> = runs.iter().map(|run| run.error).collect();
    let delays = runs
        .iter()
        .map(|run| run.retry_in.map(|delay| delay.as_secs_f64()));
    let delays: Vec<_> = delays.collect();
    let rows = db
        .returning(&PUT_BACK, &[&offset, &ids, &claims, &errors, &delays])
        .await?;
    rows.iter().map(Lease::try_from).collect()
}

static TAKE_EXPIRED: WriteQuery = WriteQuery::update(
    "jobs_take_expired",
    "
UPDATE jobs
SET state = CASE WHEN losses >= $2 THEN 'dead' ELSE 'queued' END,
    died_at = CASE WHEN losses >= $2 THEN clock_timestamp() + make_interval(secs => $1) END,
    last_error = CASE WHEN losses >= $2 THEN 'its process ended too often while it ran' ELSE last_error END,
    losses = losses + 1,
    worker = NULL,
    lease_until = NULL
WHERE id = ANY(ARRAY(
    SELECT id
    FROM jobs
    WHERE state = 'running' AND lease_until <= now() + make_interval(secs => $1)
    ORDER BY lease_until
    LIMIT $3
    FOR UPDATE SKIP LOCKED
))
RETURNING id, kind, state = 'dead' AS is_dead",
    &[Type::FLOAT8, Type::INT4, Type::INT8],
);

/// Puts up to `limit` jobs with expired leases back, or ends those that were lost more than `max_losses` times. Returns
/// id, kind, and whether it was ended.
pub(in crate::features::jobs) async fn take_expired(
    db: &impl WriteExecutor,
    offset: f64,
    max_losses: u32,
    limit: u32,
) -> Result<Vec<(JobId, String, bool)>, DatabaseError> {
    let max_losses = i32::try_from(max_losses).unwrap_or(i32::MAX);
    let taken = db
        .returning(&TAKE_EXPIRED, &[&offset, &max_losses, &i64::from(limit)])
        .await?;
    let read = |row: &Row| {
        let id: Uuid = row.try_get("id")?;
        Ok((id.into(), row.try_get("kind")?, row.try_get("is_dead")?))
    };
    taken.iter().map(read).collect()
}
