#!/bin/sh
# Looks at PostgreSQL's data without starting a server.
#
# Arguments:   where the service mounts the volume with the data
# Output:      `image MAJOR`, the version of the image; then one of: `data MAJOR`, the version that made the
#              data; `empty`; `incomplete`, files that are no cluster; `elsewhere PGDATA`, where the image
#              keeps its data outside of the volume
# Environment: PGDATA, as the image or the service sets it
# Volumes:     the one with the data, where the service has it, read-only
# Repeatable:  yes; nothing is changed
set -eu
mount=${1%/}
postgres --version | sed -n 's/.*) \([0-9]*\).*/image \1/p'
case $PGDATA/ in
  "$mount"/*) ;;
  *) echo "elsewhere $PGDATA"; exit ;;
esac
if [ -s "$PGDATA/PG_VERSION" ]; then
  echo "data $(cat "$PGDATA/PG_VERSION")"
  exit
fi
# The layout of PostgreSQL 18 has a folder for each major version.
other=$(find "$mount" -maxdepth 3 -name PG_VERSION ! -path '*/base/*' ! -path '*/.restore/*' 2>/dev/null | head -n 1)
if [ -n "$other" ]; then
  echo "data $(cat "$other")"
elif [ -z "$(find "$mount" -mindepth 1 ! -type d 2>/dev/null | head -n 1)" ]; then
  echo empty
else
  echo incomplete
fi
