-- Without its cookie nobody can use such a session any more.
UPDATE sessions
SET revoked_at = now(), revoked_for = 'operator'
WHERE cookie_hash IS NOT NULL AND revoked_at IS NULL;

ALTER TABLE sessions
    DROP COLUMN cookie_changed_at,
    DROP COLUMN previous_cookie_hash,
    DROP COLUMN cookie_hash;
