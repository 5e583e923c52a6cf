-- When the password was last given in a session. NULL: when it was opened. A replica of the release before writes NULL.
ALTER TABLE sessions ADD COLUMN authenticated_at timestamptz;
