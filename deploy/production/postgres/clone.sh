#!/bin/sh
# Makes this member's volume a copy of another member's, for Patroni. What was there before goes, but for what a
# restore has put aside.
#
# Arguments:   as Patroni gives them: --connstring=… among others
# Output:      the progress, on stderr
# Environment: PGPASSFILE, which Patroni sets
# Volumes:     PostgreSQL's data
# Repeatable:  yes, also when it was killed
set -eu
cd /var/lib/postgresql/data
connection=
for argument; do
  case $argument in
    --connstring=*) connection=${argument#--connstring=} ;;
  esac
done

rm -f current
for old in clusters/* clusters/.clone; do
  [ "$old" = "$(readlink previous || true)" ] || rm -rf "$old"
done
name=clusters/cloned-$(date -u +%Y%m%dT%H%M%SZ)
pg_basebackup --pgdata clusters/.clone --wal-method stream --checkpoint fast --dbname "$connection" >&2
mv -T clusters/.clone "$name"
ln -sfn "$name" current
