#!/bin/sh
# Restores a cluster from the bucket, recovers it as far as asked, counts its rows and stops it again. It serves
# read-only meanwhile and never becomes a primary, so that it leaves no trace in the bucket.
#
# Arguments:   an empty folder for the cluster; the time to recover to, or nothing for all that there is
# Output:      one line of JSON: recovered_to, which is when the last transaction ended (null if there was none after
#              the backup), rows and canary; stderr tells the progress
# Environment: PGUSER and PGBACKREST_*, as the image and stack.yml set them
# Volumes:     the one that the folder is in
# Repeatable:  yes, with another folder
set -eu
folder=$1
target=${2:-}
export PGHOST=/tmp

ask() { psql --no-psqlrc --tuples-only --no-align --command "$1"; }

if [ "$target" ]; then
  pgbackrest restore --pg1-path="$folder" --type=time --target="$target" --target-action=promote
else
  pgbackrest restore --pg1-path="$folder"
fi

# A standby: it stays read-only at the target, and tries again where the network failed it.
touch "$folder/standby.signal"
pg_ctl start --pgdata "$folder" --silent --wait --timeout 604800 --log /dev/stderr --options "\
  --config-file=/etc/postgresql/server.conf --listen-addresses= --unix-socket-directories=$PGHOST \
  --archive-mode=off --shared-buffers=32MB --recovery-target-action=pause" >&2
trap 'pg_ctl stop --pgdata "$folder" --silent --mode immediate >&2 || true' EXIT

# Where the last segment in the bucket begins, as PostgreSQL writes a place.
last=$(pgbackrest info --output=json | jq --raw-output '[.[0].archive[].max // empty] | max')
begin=$(echo "$last" | sed -E 's/^.{8}(.{8}).{6}(..)$/\1\/\2000000/')
until [ "$(ask "SELECT pg_get_wal_replay_pause_state() = 'paused'")" = t ]; do
  if [ "$(ask "SELECT wait_event = 'RecoveryRetrieveRetryInterval' AND pg_last_wal_replay_lsn() >= '$begin'
               FROM pg_stat_activity WHERE backend_type = 'startup'")" = t ]; then
    [ "$target" ] || break
    echo "the bucket has nothing from after $(ask 'SELECT pg_last_xact_replay_timestamp()'): take an earlier time" >&2
    exit 1
  fi
  sleep 1
done

recovered_to=$(ask "SELECT to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS\"+00\"')")
canary=$(ask "SELECT extract(epoch FROM at)::bigint FROM operations.canary" || true)
rows=$(count.sh)
pg_ctl stop --pgdata "$folder" --silent --mode fast >&2
trap - EXIT
rm "$folder/standby.signal"
jq --null-input --compact-output --arg recovered_to "$recovered_to" --argjson rows "$rows" --argjson canary "${canary:-null}" \
  '{recovered_to: (if $recovered_to == "" then null else $recovered_to end), rows: $rows, canary: $canary}'
