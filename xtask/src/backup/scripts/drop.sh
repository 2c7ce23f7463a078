#!/bin/sh
# Drops a database, if it is there; a name that is too long for one is nobody's.
#
# Arguments:   the database
# Output:      none
# Environment: PGHOST, PGUSER; POSTGRES_DB, the database to come in by; PRIVILEGES, `all` where the server is
#              the stack's own; else only what belongs to an application is dropped, and only while nobody uses it
# Volumes:     the server's socket at PGHOST, if it is a folder
# Repeatable:  yes
set -eu
# PostgreSQL cuts longer names off, and would drop the database whose name is what is left.
[ "$(printf %s "$1" | wc -c)" -le 63 ] || exit 0
if [ "$PRIVILEGES" = all ]; then
  set -- --force "$1"
else
  owner=$(psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --set "name=$1" --dbname "$POSTGRES_DB" \
    --file - <<'SQL'
select pg_get_userbyid(datdba) from pg_database where datname = :'name';
SQL
  )
  case $owner in
    '' | umami | glitchtip) ;;
    *) echo "the database $1 belongs to $owner" >&2; exit 1 ;;
  esac
fi
exec dropdb --maintenance-db "$POSTGRES_DB" --if-exists "$@"
