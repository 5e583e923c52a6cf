CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id);
DROP INDEX refresh_tokens_used_at_idx;
DROP INDEX refresh_tokens_masked_idx;
ALTER TABLE refresh_tokens DROP COLUMN masked_successor, DROP COLUMN masked_until;
ALTER TABLE sessions DROP COLUMN rotations_full_at;
