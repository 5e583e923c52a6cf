-- Without the column a key of an organisation would act for its owner's account.
UPDATE api_keys
SET revoked_at = now(), revoked_for = 'operator'
WHERE org_id IS NOT NULL AND (revoked_at IS NULL OR revoked_at > now());

ALTER TABLE api_keys DROP COLUMN org_id;
