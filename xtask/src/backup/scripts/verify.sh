#!/bin/sh
# Restores a backup into a server that nobody else can reach and that lives as long as this script.
#
# Input:       a tar of roles.sql, umami.dump, glitchtip.dump, uploads.tar, as far as they were saved
# Output:      that of restore.sh
# Environment: that of restore.sh; PGDATA, the folder for the parts and the server
# Volumes:     none at PGDATA, so that an unnamed one has all of it and goes with the container
# Repeatable:  only in a new container
set -eu
scripts=${0%/*}
mkdir -p "$PGDATA/parts"
cd "$PGDATA/parts"
tar -xf -
if [ -e uploads.tar ]; then
  tar -tf uploads.tar >/dev/null
  rm uploads.tar
fi
initdb --pgdata ../server --auth trust --username "$PGUSER" --encoding UTF8 --locale C --no-sync >/dev/null
export PGHOST=/tmp
pg_ctl --pgdata ../server --silent --wait --log ../log --options "-c listen_addresses= -c unix_socket_directories=/tmp \
  -c fsync=off -c full_page_writes=off -c autovacuum=off -c max_parallel_maintenance_workers=0" start >/dev/null ||
  { cat ../log >&2; exit 1; }
exec sh "$scripts/restore.sh" ''
