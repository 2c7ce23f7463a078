#!/bin/sh
# Restores the databases of a backup into a new cluster beside PostgreSQL's data in use, which may be
# broken; for settle-files.sh. The cluster is made as the image's own entrypoint makes it.
#
# Input:       a tar of roles.sql, umami.dump, glitchtip.dump, as far as they were saved
# Output:      that of restore.sh
# Environment: that of restore.sh, but PGHOST; PGDATA, POSTGRES_INITDB_ARGS and POSTGRES_HOST_AUTH_METHOD as
#              the image or the service sets them
# Volumes:     the one with PostgreSQL's data, where the service has it; nobody else may use it
# Repeatable:  after begin-cluster.sh
set -eu
scripts=${0%/*}
new=$PGDATA/.restore/new
mkdir "$PGDATA/.restore/parts"
cd "$PGDATA/.restore/parts"
tar -xf -
# shellcheck disable=SC2086 # these are several arguments
initdb --pgdata "$new" --username "$PGUSER" --no-sync ${POSTGRES_INITDB_ARGS:-} >/dev/null
printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$new/pg_hba.conf"
export PGHOST=/tmp
pg_ctl --pgdata "$new" --silent --wait --log ../log --options "-c listen_addresses= -c unix_socket_directories=/tmp \
  -c fsync=off -c full_page_writes=off -c autovacuum=off -c max_parallel_maintenance_workers=0" start >/dev/null ||
  { cat ../log >&2; exit 1; }
sh "$scripts/restore.sh" '' >../found
pg_ctl --pgdata "$new" --silent --wait --mode fast stop
initdb --pgdata "$new" --sync-only >/dev/null
rm -rf "$PGDATA/.restore/parts"
cat ../found
