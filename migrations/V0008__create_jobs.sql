-- Work that outlives a request: enqueued inside the transaction that it belongs to, and run later by any replica. A row
-- that is done is deleted.

CREATE TABLE jobs (
    id uuid NOT NULL,
    kind text NOT NULL,
    -- What the work is about, as ids: neither secrets nor addresses, because backups and operators see it.
    payload jsonb NOT NULL,
    run_at timestamptz NOT NULL,
    -- 0 high, 1 normal, 2 low.
    priority smallint NOT NULL,
    state text NOT NULL,
    -- How many runs failed. A worker that was lost or stopped does not count.
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    -- How many runs ended with their lease, because their process did.
    losses integer NOT NULL,
    -- The number of the run. It only grows, so that a run whose lease was lost cannot be taken for the next one.
    claim bigint NOT NULL,
    worker text,
    lease_until timestamptz,
    unique_key text,
    -- Of the span and the request that enqueued it.
    traceparent text,
    correlation_id text,
    created_at timestamptz NOT NULL,
    last_error text,
    died_at timestamptz,
    CONSTRAINT jobs_pkey PRIMARY KEY (id),
    CONSTRAINT jobs_kind_check CHECK (length(kind) BETWEEN 1 AND 64),
    CONSTRAINT jobs_payload_check CHECK (octet_length(payload::text) <= 8192),
    CONSTRAINT jobs_priority_check CHECK (priority BETWEEN 0 AND 2),
    CONSTRAINT jobs_state_check CHECK (state IN ('queued', 'running', 'dead')),
    CONSTRAINT jobs_worker_check CHECK ((worker IS NOT NULL) = (state = 'running')),
    CONSTRAINT jobs_lease_until_check CHECK ((lease_until IS NOT NULL) = (state = 'running')),
    CONSTRAINT jobs_died_at_check CHECK ((died_at IS NOT NULL) = (state = 'dead')),
    CONSTRAINT jobs_last_error_check CHECK (length(last_error) <= 500)
) WITH (
    -- Each job leaves three dead rows within moments of its life, so the table is vacuumed long before a fifth of it is dead.
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_analyze_threshold = 1000
);

-- Finds what is due of one kind and priority. Led by the kind: a worker does not see rows of kinds that it does not know, and
-- rows of a better priority that are not due yet do not stand before those that are.
CREATE INDEX jobs_queued_idx ON jobs (kind, priority, run_at, id) WHERE state = 'queued';

-- Finds the leases that expired.
CREATE INDEX jobs_running_idx ON jobs (lease_until) WHERE state = 'running';

-- At most one of a key waits or runs.
CREATE UNIQUE INDEX jobs_unique_key ON jobs (kind, unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('queued', 'running');

-- Finds the dead that are old enough to go.
CREATE INDEX jobs_dead_idx ON jobs (died_at) WHERE state = 'dead';

-- When the next job of a schedule is due. Whichever replica moves next_run_at first enqueues it.
CREATE TABLE job_schedules (
    name text NOT NULL,
    rule text NOT NULL,
    next_run_at timestamptz NOT NULL,
    paused boolean NOT NULL,
    last_job_id uuid,
    CONSTRAINT job_schedules_pkey PRIMARY KEY (name)
);
