#!/bin/sh
# Runs once, on an empty Postgres: the database's login roles, their passwords from files. `migrate` then makes the schemas.
set -eu
run() { psql -v ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"; }
for kind in owner gateway mirror node; do
  file="${SECRETS:-/run/secrets}/postgres-$kind-password"
  # A secret that can't be read must end the script, not become an empty password.
  [ -n "$(cat "$file")" ] || exit 1
  # psql reads it itself: every user of the host can read command lines.
  run -v role="$kind" -v file="$file" <<'SQL'
\set password `cat :'file'`
CREATE ROLE :"role" LOGIN PASSWORD :'password';
SQL
done
run -v db="$POSTGRES_DB" <<'SQL'
CREATE ROLE emr_gateway NOLOGIN;
CREATE ROLE emr_mirror NOLOGIN;
CREATE ROLE emr_node NOLOGIN;
GRANT emr_gateway TO gateway;
GRANT emr_mirror TO mirror;
GRANT emr_node TO node;
GRANT gateway TO owner;
ALTER DATABASE :"db" OWNER TO owner;
REVOKE ALL ON DATABASE :"db" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"db" TO owner, gateway, mirror, node;
CREATE SCHEMA bullmq AUTHORIZATION gateway;
SQL
