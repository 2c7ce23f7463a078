#!/bin/sh
# Backs up to the bucket, and waits while another backup runs.
#
# Arguments:   full, incr or nothing; nothing means incr, and the first one is full in any case
# Output:      one line of JSON about the new backup; stderr tells the progress
# Environment: PGHOST, PGUSER and PGBACKREST_*, as the image and stack.yml set them
# Volumes:     PostgreSQL's data and its socket, of a running server
# Repeatable:  yes, also when it was killed
set -eu
type=${1:-incr}
started=$(date +%s)
exec 8>"$PGHOST/backup.lock"
flock 8

pgbackrest stanza-create
pgbackrest backup --type="$type"

pgbackrest info --output=json | jq --compact-output --argjson seconds "$(($(date +%s) - started))" '
  .[0].backup[-1] | {operation: "backup", "label": .label, type, seconds: $seconds, database_bytes: .info.size,
    repository_bytes: .info.repository.delta}'
