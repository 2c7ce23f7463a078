#!/bin/sh
# Makes a point that the databases can go back to, before something changes them.
#
# Arguments:   the point's name
# Output:      one line of JSON: the name, and the time for restore.sh; null where there are no databases yet
# Environment: PGHOST and PGUSER, as the image sets them
# Volumes:     the socket of a running server
# Repeatable:  yes; each time is a point of its own
set -eu
name=${1:?the name of the point}
query() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"; }

if [ "$(query --command "SELECT count(*) FROM pg_database WHERE datname IN ('umami_db', 'glitchtip_db')")" = 0 ]; then
  jq --null-input --compact-output --arg name "$name" '{operation: "mark", name: $name, at: null}'
  exit
fi
# A restore takes what was committed up to its time, which is told in seconds: so the next full one, once it is over.
at=$(query --set name="$name" <<'SQL'
SELECT pg_create_restore_point(:'name') \g /dev/null
SELECT to_char((date_trunc('second', clock_timestamp()) + interval '1 second') AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS at \gset
SELECT pg_sleep_until(:'at'::timestamp AT TIME ZONE 'UTC' + interval '50 milliseconds') \g /dev/null
\qecho :at
SQL
)
# On its way to the bucket at once, not within the minute.
query --command 'SELECT pg_switch_wal()' >/dev/null
jq --null-input --compact-output --arg name "$name" --arg at "$at" '{operation: "mark", name: $name, at: $at}'
