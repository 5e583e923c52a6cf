DROP INDEX api_keys_dead_idx;
