-- Finds the keys that have been dead for long, so that a sweep reads no others.
--
-- Until it is built, keys are neither made nor changed; requests by key go on.

CREATE INDEX api_keys_dead_idx ON api_keys (LEAST(revoked_at, expires_at));
