-- Keys by which machines act for an account.

CREATE TABLE api_keys (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    -- SHA-256 of the key: whoever reads this table cannot use it.
    hash bytea NOT NULL,
    -- What a person recognises the key by: its prefix and 4 of its characters.
    start text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    -- NULL: it does not expire.
    expires_at timestamptz,
    last_used_at timestamptz,
    -- When it is over. In the future for a key that was rotated and overlaps with its successor.
    revoked_at timestamptz,
    -- Why: owner, administrator, operator, presented, rotation or password.
    revoked_for text,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_hash_key UNIQUE (hash),
    CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT api_keys_name_check CHECK (length(name) BETWEEN 1 AND 80),
    CONSTRAINT api_keys_hash_check CHECK (octet_length(hash) = 32),
    CONSTRAINT api_keys_scopes_check CHECK (cardinality(scopes) > 0),
    CONSTRAINT api_keys_revoked_check CHECK ((revoked_at IS NULL) = (revoked_for IS NULL))
);

-- Lists an account's keys, oldest first; also what ON DELETE CASCADE looks up.
CREATE INDEX api_keys_user_id_idx ON api_keys (user_id, created_at);
