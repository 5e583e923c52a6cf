-- From which networks each account signed in before. Attempts from one of these are counted apart from those of
-- strangers, so that guesses from elsewhere do not keep the owner of an account out.

CREATE TABLE auth_networks (
    user_id uuid NOT NULL,
    -- SHA-256 of the account's id and the network's address, so that no address is kept, and one network looks
    -- different for each account. No secret is in it: what a change of secrets would make forgotten is needed when
    -- somebody attacks. Whoever has this table can find an IPv4 address by trying all of them.
    network bytea NOT NULL,
    last_used_at timestamptz NOT NULL,
    CONSTRAINT auth_networks_pkey PRIMARY KEY (user_id, network),
    CONSTRAINT auth_networks_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT auth_networks_network_check CHECK (octet_length(network) = 32)
);

-- For the task that forgets those that were not used for long.
CREATE INDEX auth_networks_last_used_at_idx ON auth_networks (last_used_at);
