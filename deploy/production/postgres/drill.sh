#!/bin/sh
# Proves the backups: restores the newest into a volume of its own, counts its rows, measures how much would have
# been lost (RPO) and how long it took (RTO), and records the result in the running database. What is not in the bucket
# yet is what would be lost, so nothing is pushed there first.
#
# Output:      one line of JSON; stderr tells the progress
# Environment: PGHOST, PGUSER and PGBACKREST_*, as the image and stack.yml set them
# Volumes:     /var/lib/postgresql/drill, which is empty between drills; the socket of a running server
# Repeatable:  yes, also when it was killed
set -eu
folder=/var/lib/postgresql/drill
started=$(date +%s)
exec 8>"$folder/lock"
flock 8

record() {
  psql --no-psqlrc --quiet --variable ON_ERROR_STOP=1 --variable result="$1" >&2 <<'SQL'
INSERT INTO operations.drills (passed, result) VALUES ((:'result'::jsonb ->> 'passed')::boolean, :'result');
SQL
}
end() {
  code=$?
  rm -rf "$folder/cluster"
  [ "$code" = 0 ] || record '{"operation":"drill","passed":false}'
  exit "$code"
}
trap end EXIT
trap 'exit 1' TERM INT

rm -rf "$folder/cluster"
mkdir -m 0700 "$folder/cluster"
backup=$(pgbackrest info --output=json | jq --raw-output '.[0].backup[-1].label')
recovered=$(recover.sh "$folder/cluster")
result=$(echo "$recovered" | jq --compact-output --arg backup "$backup" --argjson started "$started" \
  --argjson rto "$(($(date +%s) - started))" '
    {operation: "drill", passed: (.canary != null and .rows.umami_db != null and .rows.glitchtip_db != null), backup: $backup,
     rpo_seconds: (if .canary then $started - .canary else null end), rto_seconds: $rto, rows, recovered_to}')
record "$result"
echo "$result"
echo "$result" | jq --exit-status .passed >/dev/null || { echo "the restored databases are not whole" >&2; exit 1; }
