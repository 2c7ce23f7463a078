#!/bin/sh
# Writes a little by the address that the applications use, which succeeds when there is a primary and a standby has
# confirmed it where one must.
#
# Output:      the number of the transaction, or why there is none
# Secrets:     /run/secrets/cluster
# Repeatable:  yes
set -eu
. /run/secrets/cluster
export PGPASSWORD="$REWIND_PASSWORD" PGCONNECT_TIMEOUT=3
exec psql --no-psqlrc --no-align --tuples-only --host haproxy --port 5432 --username rewinder --dbname postgres \
  --command 'SELECT pg_current_xact_id()'
