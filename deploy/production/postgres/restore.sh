#!/bin/sh
# Restores a cluster beside the one in use, which is left alone. switch.sh takes it into use.
#
# Arguments:   the time to recover to, such as "2026-11-25 13:00:00+00", or nothing for all that there is, up to now
# Output:      one line of JSON: the cluster's name, its rows and those of the one in use
# Environment: PGHOST, PGUSER and PGBACKREST_*, as the image and stack.yml set them
# Volumes:     PostgreSQL's data, where there must be room for another cluster
# Repeatable:  yes; each time removes what earlier ones restored and nobody took into use
set -eu
target=${1:-}
started=$(date +%s)
cd /var/lib/postgresql/data
exec 8>restore.lock
# A container that is being stopped has it for some seconds more.
flock --timeout 60 8 || { echo "another restore is at work" >&2; exit 1; }

mkdir -p clusters
for old in clusters/*; do
  case $old in
    "$(readlink current)" | "$(readlink previous)" | "clusters/$(cat next 2>/dev/null)" | 'clusters/*') ;;
    *) rm -rf "$old" ;;
  esac
done

# What was written a moment ago is not in the bucket yet. A restore to a time ends at the first change after it, and is
# done without what the bucket does not take.
if pg_isready --quiet; then
  psql --no-psqlrc --quiet --command 'SELECT pg_current_xact_id()' >/dev/null
  push.sh >&2 || [ "$target" ]
fi

name=restored-$(date -u +%Y%m%dT%H%M%SZ)
mkdir -m 0700 "clusters/$name"
result=$(recover.sh "$PWD/clusters/$name" "$target") || { rm -rf "clusters/$name"; exit 1; }
echo "$result" >"clusters/$name/counted"

live=$(count.sh || echo null)
echo "$result" | jq --compact-output --arg cluster "$name" --argjson live "$live" \
  --argjson seconds "$(($(date +%s) - started))" \
  '{operation: "restore", cluster: $cluster, recovered_to, rows, live_rows: $live, seconds: $seconds}'
