#!/bin/sh
# Waits until everything that is written up to now is in the bucket.
#
# Output:      nothing; stderr tells why it is not after two minutes
# Environment: PGHOST and PGUSER, as the image sets them
# Volumes:     the socket of a running server
# Repeatable:  yes
set -eu
query() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --command "$1"; }

last=$(query "SELECT pg_walfile_name(pg_switch_wal())")
deadline=$(($(date +%s) + 120))
# PostgreSQL archives in order, and keeps a file of this name until it has.
until [ "$(query "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready' AND left(name, 24) <= '$last'")" = 0 ]; do
  if [ "$(date +%s)" -gt "$deadline" ]; then
    echo "the bucket does not take what PostgreSQL writes, so the newest is not there: a restore to a time does without it" >&2
    exit 1
  fi
  sleep 0.2
done
