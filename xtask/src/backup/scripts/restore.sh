#!/bin/sh
# Restores the databases of a backup into databases with names of their own, and counts what is in them.
#
# Arguments:   what is appended to the names of the databases; may be empty
# Input:       the parts of the backup in the current folder: roles.sql, umami.dump, glitchtip.dump; what is
#              missing is left out, each dump is deleted once it is restored
# Output:      for each database `database|SERVICE` and the lines of count.sql; `complete` at the end
# Environment: PGHOST, PGUSER, UMAMI_DATABASE, GLITCHTIP_DATABASE; POSTGRES_DB, the database to come in by;
#              PRIVILEGES, `all` where the server is the stack's own; else each database and all in it is
#              its application's, whatever the backup says
# Volumes:     the server's socket at PGHOST, if it is a folder
# Repeatable:  yes; a database that has the name already is replaced
set -eu
suffix=$1
scripts=${0%/*}
export LC_ALL=C PGOPTIONS='--client-min-messages=warning'
query() { psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@"; }

# Each job takes memory of the server's.
jobs=$(nproc)
[ "$jobs" -le 4 ] || jobs=4

# A role that exists already is no mistake.
[ ! -e roles.sql ] || query --set ON_ERROR_STOP=0 --dbname "$POSTGRES_DB" --file roles.sql >/dev/null 2>&1 || true
for service in umami glitchtip; do
  [ -e "$service.dump" ] || continue
  case $service in
    umami) database=$UMAMI_DATABASE$suffix ;;
    glitchtip) database=$GLITCHTIP_DATABASE$suffix ;;
  esac
  sh "$scripts/drop.sh" "$database"
  # Not from template1, which on a volume of another C library cannot be copied.
  set -- --maintenance-db "$POSTGRES_DB" --template template0
  if [ "$PRIVILEGES" = all ]; then
    createdb "$@" "$database"
    set --
  else
    createdb "$@" --encoding UTF8 --owner "$service" "$database"
    set -- --no-owner --no-privileges --role "$service"
  fi
  pg_restore --exit-on-error --jobs "$jobs" --dbname "$database" "$@" "$service.dump"
  rm "$service.dump"
  echo "database|$service"
  query --dbname "$database" --file "$scripts/count.sql"
done
echo complete
