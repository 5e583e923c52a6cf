-- What a user proves their identity with, one row for each kind, so that a second kind needs no
-- column of users. The secret of kind `password` is the PHC string, which names its own parameters.
--
-- For now users.password_hash stays what is written and read: a replica of the release before
-- knows nothing else. A trigger copies it one way, into the credential; it exists before the rows
-- that are there are copied, so that no write falls between the two.
--
-- Locks: creating the trigger takes SHARE ROW EXCLUSIVE on users until this migration commits.
-- Sign-ins and everything else that reads go on; registrations and changes of an account wait
-- for the copy, which took 13 s for a million accounts on two shared cores, and 0.2 s for ten
-- thousand. Those that wait longer than DB_STATEMENT_TIMEOUT_MS are answered 503.

CREATE TABLE credentials (
    user_id uuid NOT NULL,
    kind text NOT NULL,
    secret text NOT NULL,
    -- When the user last chose it. A rehash of the same password does not count.
    changed_at timestamptz NOT NULL,
    CONSTRAINT credentials_pkey PRIMARY KEY (user_id, kind),
    CONSTRAINT credentials_kind_check CHECK (kind IN ('password')),
    CONSTRAINT credentials_secret_check CHECK (octet_length(secret) <= 1024)
);

-- The time of a change is the service's, as all times are: it sets updated_at whenever it writes a
-- hash. A hash written by hand leaves updated_at alone, and then only PostgreSQL's clock is there
-- to move changed_at, which it has to do.
CREATE FUNCTION users_copy_password() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO credentials (user_id, kind, secret, changed_at)
    VALUES (
        NEW.id,
        'password',
        NEW.password_hash,
        CASE WHEN NEW.updated_at IS DISTINCT FROM OLD.updated_at THEN NEW.updated_at ELSE now() END
    )
    ON CONFLICT (user_id, kind) DO UPDATE
    SET secret = excluded.secret, changed_at = excluded.changed_at
    WHERE credentials.secret <> excluded.secret;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_copy_password
AFTER INSERT OR UPDATE OF password_hash ON users
FOR EACH ROW EXECUTE FUNCTION users_copy_password();

-- Nobody knows when these were chosen: not after the account was last written.
INSERT INTO credentials (user_id, kind, secret, changed_at)
SELECT id, 'password', password_hash, updated_at
FROM users;

-- Checked for all rows at once, which is faster than one by one.
ALTER TABLE credentials
    ADD CONSTRAINT credentials_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;
