-- Lists of accounts, by each combination of role and state: in the order of ids, or of addresses where the beginning of
-- one is searched. Without them a list of few among many reads all of them.
--
-- Locks: each index takes SHARE on users while it is built, 2 s for a million accounts on two shared cores. Sign-ins and
-- everything else that reads go on; registrations and changes of an account wait.

CREATE INDEX users_role_state_id_idx ON users (role, is_active, id);
CREATE INDEX users_role_state_email_idx ON users (role, is_active, email);
