#!/bin/sh
# Makes the standby on this volume a primary, with a history of its own, and stops it: for when it is all that is left
# of DATABASE=ha. PostgreSQL on one node goes on with it.
#
# Output:      what PostgreSQL says, on stderr
# Environment: PGUSER and PGDATABASE, as the image sets them
# Volumes:     PostgreSQL's data, on which nothing else may run
# Repeatable:  yes; what is no standby is left as it is
set -eu
cd /var/lib/postgresql/data
export PGHOST=/tmp
exec 9>lock
flock --nonblock 9 || { echo "PostgreSQL runs on this volume" >&2; exit 1; }

[ ! -e current/standby.signal ] || mv current/standby.signal current/recovery.signal
[ -e current/recovery.signal ] || { echo "$(readlink current) is no standby" >&2; exit 0; }
# It archives when it runs as usual: what its own history begins with waits until then.
pg_ctl start --pgdata current --silent --wait --timeout 604800 --log /dev/stderr --options "\
  --config-file=/etc/postgresql/server.conf --listen-addresses= --unix-socket-directories=$PGHOST \
  --restore-command=false --archive-command=false" >&2
until [ "$(psql --no-psqlrc --tuples-only --no-align --command 'SELECT pg_is_in_recovery()')" = f ]; do sleep 0.2; done
pg_ctl stop --pgdata current --silent --mode fast >&2
