DROP TABLE auth_networks;
