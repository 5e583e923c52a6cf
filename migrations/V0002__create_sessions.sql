-- Who is signed in where. A session is one sign-in; its refresh tokens follow one another.

CREATE TABLE sessions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    -- Moves with each refresh, but never beyond ends_at.
    expires_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    revoked_at timestamptz,
    -- Why it was revoked: logout, logout_all, password_change, reuse, limit, disabled or operator.
    revoked_for text,
    ip inet,
    user_agent text,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT sessions_expires_at_check CHECK (expires_at <= ends_at),
    CONSTRAINT sessions_revoked_check CHECK ((revoked_at IS NULL) = (revoked_for IS NULL)),
    CONSTRAINT sessions_user_agent_check CHECK (length(user_agent) <= 256)
);

-- Lists a user's sessions, oldest first; also what ON DELETE CASCADE looks up.
CREATE INDEX sessions_user_id_idx ON sessions (user_id, created_at);

-- The two ways to be dead, for the clean-up.
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);
CREATE INDEX sessions_revoked_at_idx ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- Every refresh token a session ever had, so that a stolen one is noticed when it comes back.
CREATE TABLE refresh_tokens (
    -- SHA-256 of the token: whoever reads this table cannot use it.
    hash bytea NOT NULL,
    session_id uuid NOT NULL,
    -- The token this one was handed out for; null for a session's first.
    parent_hash bytea,
    created_at timestamptz NOT NULL,
    used_at timestamptz,
    -- Set when its parent came back before it was ever used: the reply that carried it was lost.
    superseded_at timestamptz,
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (hash),
    CONSTRAINT refresh_tokens_session_id_fkey
        FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE,
    CONSTRAINT refresh_tokens_hash_check CHECK (octet_length(hash) = 32)
);

CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_parent_hash_idx ON refresh_tokens (parent_hash);

-- One branch only: a session has at most one token that is neither used nor superseded.
CREATE UNIQUE INDEX refresh_tokens_live_key ON refresh_tokens (session_id)
    WHERE used_at IS NULL AND superseded_at IS NULL;
