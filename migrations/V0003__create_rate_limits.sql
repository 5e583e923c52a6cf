-- How eagerly guesses at passwords and tokens may come, counted for all replicas together.
-- Unlogged, because a crash that empties it costs nothing but a few more guesses.

CREATE UNLOGGED TABLE rate_limits (
    -- SHA-256 of whose bucket it is: no address of a network or a person is kept here.
    key bytea NOT NULL,
    -- A bucket is full again then; until then it lacks one token for each interval.
    full_at timestamptz NOT NULL,
    CONSTRAINT rate_limits_pkey PRIMARY KEY (key),
    CONSTRAINT rate_limits_key_check CHECK (octet_length(key) = 32)
) WITH (fillfactor = 50);
