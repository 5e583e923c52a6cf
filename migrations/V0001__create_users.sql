-- Who exists. Accounts are made by registration or by an operator, never by a migration.

CREATE TABLE users (
    id uuid NOT NULL,
    -- Lower case ASCII, so byte order is right, and a prefix can be searched by the unique index.
    email text COLLATE "C" NOT NULL,
    -- A PHC string, which names its own parameters.
    password_hash text NOT NULL,
    role text NOT NULL,
    is_active boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT users_email_check CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 254),
    CONSTRAINT users_role_check CHECK (role IN ('OWNER', 'ADMIN', 'MEMBER', 'VIEWER'))
);

-- The last active owner is looked for whenever one is about to go; there are few of them.
CREATE INDEX users_active_owners_idx ON users (id) WHERE role = 'OWNER' AND is_active;
