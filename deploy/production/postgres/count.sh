#!/bin/sh
# Counts the rows of both applications' tables, in one transaction a database.
#
# Arguments:   what follows the names of the databases; nothing for those in use
# Output:      one line of JSON: {"umami_db":n,"glitchtip_db":n}; null for a database that is not there
# Environment: PGHOST and PGUSER: which server to ask
# Volumes:     the socket of that server
# Repeatable:  yes, it changes nothing
set -eu

count() {
  if [ -z "$(psql --no-psqlrc --tuples-only --no-align --command "SELECT 1 FROM pg_database WHERE datname = '$1'")" ]; then
    echo null
    return
  fi
  psql --no-psqlrc --tuples-only --no-align --dbname "$1" --command "
    SELECT coalesce(sum((xpath('/row/rows/text()', query_to_xml(
      format('SELECT count(*) AS rows FROM ONLY %I.%I', schemaname, tablename), false, true, '')))[1]::text::bigint), 0)
    FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
}

umami=$(count "umami_db${1:-}")
glitchtip=$(count "glitchtip_db${1:-}")
echo "{\"umami_db\":$umami,\"glitchtip_db\":$glitchtip}"
