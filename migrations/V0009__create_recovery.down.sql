DROP TABLE recovery_requests;
DROP TABLE mail_requests;
DROP TRIGGER users_clear_email_verified_at ON users;
DROP FUNCTION users_clear_email_verified_at();
ALTER TABLE users DROP COLUMN email_verified_at;
