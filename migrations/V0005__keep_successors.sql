-- A refresh token that comes back within 10 s of its first use gets the successor that it got then, so
-- that two tabs, or a client that lost a reply, never part. The successor is random, and the row of
-- the token that it was handed out for keeps it for that time, masked by that very token. A session
-- counts its rotations, and a rotation finds the session's old tokens by an index.
--
-- A replica of the release before writes none of these columns. It reads superseded_at, and sets it
-- where it hands out a second successor; nothing else does any more, so a later release can drop the
-- column, refresh_tokens_parent_hash_idx, and the condition on it in refresh_tokens_live_key.
--
-- Locks: the index on used_at is built while refresh_tokens takes no writes, so sign-ins and refreshes
-- wait. That took 2.3 s for a million tokens on two cores that had other work. Where there are more, build it
-- before, by hand: CREATE INDEX CONCURRENTLY refresh_tokens_used_at_idx ON refresh_tokens (session_id, used_at).

ALTER TABLE refresh_tokens
    -- The successor XOR HMAC-SHA256 of a constant, keyed by the token of this row, of which only the
    -- hash is here. Null when there is none yet, when it was erased, or when the release before wrote it.
    ADD COLUMN masked_successor bytea
        CONSTRAINT refresh_tokens_masked_successor_check CHECK (octet_length(masked_successor) = 32),
    -- Until when it is handed out again, by PostgreSQL's clock. It stays when the mask is erased.
    ADD COLUMN masked_until timestamptz;

-- Finds a session's masks, and all of them for the sweep: there are only those of the last minute.
CREATE INDEX refresh_tokens_masked_idx ON refresh_tokens (session_id)
    WHERE masked_successor IS NOT NULL;

-- Finds the tokens of a session by the time of their use; also what ON DELETE CASCADE looks up.
CREATE INDEX IF NOT EXISTS refresh_tokens_used_at_idx ON refresh_tokens (session_id, used_at);
DROP INDEX refresh_tokens_session_id_idx;

-- The bucket of rotations: it is full again at this time, by PostgreSQL's clock. Null is full.
ALTER TABLE sessions ADD COLUMN rotations_full_at timestamptz;
