#!/bin/sh
# Backs up and drills when each is due, by the age of the newest there is. Updates the canary each minute, by which
# a drill knows how much it would have lost. Beside a standby it waits: the node of the primary has one too.
#
# Arguments:   nothing, or `check`: fails when the schedule has stopped
# Output:      what backup.sh and drill.sh print; stderr tells the progress
# Environment: BACKUP_HOURS, BACKUP_FULL_DAYS, DRILL_DAYS, HEARTBEAT_URL, and what backup.sh and drill.sh need
# Volumes:     PostgreSQL's data, its socket and /var/lib/postgresql/drill
# Repeatable:  yes
set -eu
if [ "${1:-}" = check ]; then
  find /tmp/schedule -mmin -5 | grep -q . || { echo "the schedule has stopped"; exit 1; }
  exit 0
fi

ask() { psql --no-psqlrc --quiet --tuples-only --no-align --variable ON_ERROR_STOP=1 --command "$1"; }

update_canary() {
  touch /tmp/schedule
  ask "SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS operations;
    CREATE TABLE IF NOT EXISTS operations.canary (one boolean PRIMARY KEY DEFAULT true CHECK (one), at timestamptz NOT NULL);
    CREATE TABLE IF NOT EXISTS operations.drills (at timestamptz NOT NULL DEFAULT now(), passed boolean NOT NULL, result jsonb NOT NULL);
    INSERT INTO operations.canary (at) VALUES (now()) ON CONFLICT (one) DO UPDATE SET at = now()"
}

# is_older SECONDS AGE: the age in seconds, or nothing for what there is none of.
is_older() { [ -z "$2" ] || [ "$2" -ge "$1" ]; }
# Of this history alone: after a failover there is a new one, and what is missing between the two comes with a backup.
age_of_backup() {
  history=$(ask "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)") || return 1
  pgbackrest info --output=json | jq --raw-output --arg type "$1" --arg history "$history" '
    [.[0].backup // [] | .[] | select($type == "" or .type == $type) | select($type != "" or (.archive.stop // "")[:8] == $history)
     | .timestamp.stop] | max | if . then (now - . | floor) else empty end'
}
age_of_drill() { ask "SELECT extract(epoch FROM now() - max(at))::bigint FROM operations.drills WHERE $1"; }

# Of three members only the primary's node has work.
is_primary() { [ "$(ask 'SELECT pg_is_in_recovery()')" = f ]; }

work() {
  done=
  full=$(age_of_backup full) && any=$(age_of_backup '') || return 1
  if is_older $((BACKUP_FULL_DAYS * 86400)) "$full"; then
    backup.sh full || return 1
    done=yes
  elif is_older $((BACKUP_HOURS * 3600)) "$any"; then
    backup.sh incr || return 1
    done=yes
  fi

  passed=$(age_of_drill passed) && tried=$(age_of_drill true) || return 1
  if is_older $((DRILL_DAYS * 86400)) "$passed" && is_older 3600 "$tried"; then
    drill.sh || return 1
    done=yes passed=0
  fi

  # Whoever waits for this call learns of everything that has not succeeded in time.
  if [ "$done" ] && [ "$HEARTBEAT_URL" ] && ! is_older $(((DRILL_DAYS + 1) * 86400)) "$passed"; then
    env -u SSL_CERT_FILE curl --silent --show-error --fail --max-time 30 --retry 3 --output /dev/null "$HEARTBEAT_URL" || return 1
  fi
}

# Nothing is worth a backup before the jobs have made the databases, or a restore has brought them back.
databases="SELECT count(*) FROM pg_database WHERE datname IN ('umami_db', 'glitchtip_db')"
until [ "$(touch /tmp/schedule; ask "$databases")" = 2 ] && is_primary && update_canary; do sleep 2; done
while sleep 60; do
  touch /tmp/schedule
  ! is_primary || update_canary || true
done &
while :; do
  if ! is_primary; then
    sleep 30
  elif work; then
    sleep 600
  else
    echo "trying again in a minute" >&2
    sleep 60
  fi
done
