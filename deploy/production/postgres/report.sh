#!/bin/sh
# Tells how backups, archiving and drills stand.
#
# Output:      one line of JSON; null where the server or the bucket does not answer
# Environment: PGHOST, PGUSER and PGBACKREST_*, as the image and stack.yml set them
# Volumes:     PostgreSQL's data and its socket
# Repeatable:  yes, it changes nothing
set -eu
database=$(psql --no-psqlrc --tuples-only --no-align --command "
  SELECT json_build_object(
    'last_archived', last_archived_time,
    'archive_failing', coalesce(last_failed_time > last_archived_time, last_failed_time IS NOT NULL),
    'canary', (SELECT at FROM operations.canary),
    'database_bytes', (SELECT sum(pg_database_size(oid))::bigint FROM pg_database),
    'drill', (SELECT result || jsonb_build_object('at', at) FROM operations.drills ORDER BY at DESC LIMIT 1),
    'last_passed_drill', (SELECT max(at) FROM operations.drills WHERE passed))
  FROM pg_stat_archiver" || echo null)
repository=$(pgbackrest info --output=json || echo null)
free=$(df -P --block-size 1 /var/lib/postgresql/data | awk 'NR == 2 {print $4}')
cluster=$(basename "$(readlink /var/lib/postgresql/data/current || true)")
jq --null-input --compact-output --arg cluster "$cluster" --argjson free "$free" --argjson database "${database:-null}" --argjson repository "$repository" \
  '{operation: "report", cluster: $cluster, free_bytes: $free} + $database + {pgbackrest: $repository}'
