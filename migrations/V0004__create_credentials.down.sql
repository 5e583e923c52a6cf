DROP TRIGGER users_copy_password ON users;
DROP FUNCTION users_copy_password();
DROP TABLE credentials;
