DROP INDEX users_role_state_email_idx;
DROP INDEX users_role_state_id_idx;
