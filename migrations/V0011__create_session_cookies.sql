-- Sessions that a browser holds by a cookie. A session with one has no refresh token.

-- SHA-256 of the cookie's value: whoever reads this table cannot use it. A column without a default is added at once,
-- whatever the size of the table.
ALTER TABLE sessions
    ADD COLUMN cookie_hash bytea,
    -- The one before, and when it was replaced: requests that were on their way then are served for a moment.
    ADD COLUMN previous_cookie_hash bytea,
    ADD COLUMN cookie_changed_at timestamptz,
    -- Not checked for the rows that are there, which have none: that would read them all.
    ADD CONSTRAINT sessions_cookie_hash_check CHECK (octet_length(cookie_hash) = 32) NOT VALID,
    ADD CONSTRAINT sessions_previous_cookie_hash_check CHECK (
        (previous_cookie_hash IS NULL) = (cookie_changed_at IS NULL)
        AND octet_length(previous_cookie_hash) = 32
    ) NOT VALID;

CREATE UNIQUE INDEX sessions_cookie_hash_key ON sessions (cookie_hash) WHERE cookie_hash IS NOT NULL;
CREATE UNIQUE INDEX sessions_previous_cookie_hash_key ON sessions (previous_cookie_hash)
    WHERE previous_cookie_hash IS NOT NULL;
