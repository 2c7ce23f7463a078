#!/bin/sh
# Dumps the database of a service.
#
# Arguments:   umami or glitchtip
# Output:      that of dump.sql
# Environment: PGHOST, PGUSER, UMAMI_DATABASE, GLITCHTIP_DATABASE
# Volumes:     the server's socket at PGHOST, if it is a folder
# Repeatable:  yes; nothing is changed
set -eu
case $1 in
  umami) export PGDATABASE="$UMAMI_DATABASE" ;;
  glitchtip) export PGDATABASE="$GLITCHTIP_DATABASE" ;;
  *) echo "$0: there is no database of $1" >&2; exit 2 ;;
esac
exec psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file "${0%/*}/dump.sql"
