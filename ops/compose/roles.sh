#!/bin/sh
#
# The roles of the database that compose.yaml starts. The postgres image runs this once, when
# it makes a new volume: the owner, which migrates, and the service, which gets data access
# from the migrations. Without DB_OWNER_PASSWORD there is one role for both.

set -eu

psql -v ON_ERROR_STOP=1 --no-psqlrc -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
  -v password="$DB_PASSWORD" -v owner_password="${DB_OWNER_PASSWORD-}" <<'SQL'
CREATE ROLE warp_skeleton LOGIN PASSWORD :'password';
SELECT :'owner_password' <> '' AS two_roles \gset
\if :two_roles
CREATE ROLE warp_skeleton_owner LOGIN PASSWORD :'owner_password';
ALTER DATABASE warp_skeleton OWNER TO warp_skeleton_owner;
\else
ALTER DATABASE warp_skeleton OWNER TO warp_skeleton;
\endif
-- The administrator is reached inside the container alone, by the socket.
ALTER ROLE CURRENT_USER PASSWORD NULL;
SQL
