-- The organisation that a key acts in. NULL: it acts for its owner's account, the only kind that there is so far.
--
-- A request by a key with one is refused by programs that know no organisations, so that a release that makes such keys can
-- run beside one that does not, or be taken back, without a key of an organisation reaching what is its owner's alone.

ALTER TABLE api_keys ADD COLUMN org_id uuid;
