-- Addresses that were proven by mail, and what was asked for by mail.

-- When somebody proved that they read the mail of this address. NULL: nobody did. Accounts from before keep NULL and stay
-- as they are. A column without a default is added at once, whatever the size of the table.
ALTER TABLE users ADD COLUMN email_verified_at timestamptz;

-- Another address is not proven by the proof of the one before: not by a replica of the release before either, which
-- does not know the column. A statement that brings a proof of the new address sets both.
CREATE FUNCTION users_clear_email_verified_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.email_verified_at := NULL;
    RETURN NEW;
END
$$;

CREATE TRIGGER users_clear_email_verified_at
BEFORE UPDATE OF email ON users
FOR EACH ROW
WHEN (
    NEW.email IS DISTINCT FROM OLD.email
    AND NEW.email_verified_at IS NOT DISTINCT FROM OLD.email_verified_at
)
EXECUTE FUNCTION users_clear_email_verified_at();

-- What a link in a mail stands for. The link's token is not stored: it is made again from the row, the account and a key.
CREATE TABLE mail_requests (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    purpose text NOT NULL,
    -- The address that the account gets, for `change` alone.
    new_email text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- When the link was last sent, so that nobody's mailbox is filled by strangers who ask again and again.
    mailed_at timestamptz,
    -- How often it was.
    mails integer NOT NULL,
    completed_at timestamptz,
    CONSTRAINT mail_requests_pkey PRIMARY KEY (id),
    CONSTRAINT mail_requests_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT mail_requests_purpose_check CHECK (purpose IN ('verify', 'reset', 'change')),
    CONSTRAINT mail_requests_new_email_check CHECK (
        (new_email IS NOT NULL) = (purpose = 'change') AND length(new_email) <= 254
    )
);

-- One open request of a kind, so that asking again sends the same link again.
CREATE UNIQUE INDEX mail_requests_open_key ON mail_requests (user_id, purpose) WHERE completed_at IS NULL;

-- Finds those of an account when it is deleted.
CREATE INDEX mail_requests_user_id_idx ON mail_requests (user_id);

-- Finds those that are over.
CREATE INDEX mail_requests_expires_at_idx ON mail_requests (expires_at);

-- Addresses that a job looks at later, whose payload has no room for them. The job deletes the row.
CREATE TABLE recovery_requests (
    id uuid NOT NULL,
    email text NOT NULL,
    -- Of a registration.
    password_hash text,
    created_at timestamptz NOT NULL,
    CONSTRAINT recovery_requests_pkey PRIMARY KEY (id),
    CONSTRAINT recovery_requests_email_check CHECK (length(email) <= 254),
    CONSTRAINT recovery_requests_password_hash_check CHECK (octet_length(password_hash) <= 1024)
);

-- Finds those whose job is dead.
CREATE INDEX recovery_requests_created_at_idx ON recovery_requests (created_at);
