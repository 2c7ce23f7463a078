#!/bin/sh
# Brings a restore to its end that replaces files and not databases, at whatever point it stands: once it
# was committed, everything restored is taken into use; before that, what was prepared goes.
#
# Arguments:   `commit` when everything has come back, else `resume`
# Output:      `replaced` or `nothing was replaced`
# Environment: PGDATA, as the image or the service sets it
# Volumes:     the one with PostgreSQL's data, where the service has it; GlitchTip's uploads at /uploads,
#              Redis' data at /redis; nobody else may use them
# Repeatable:  yes, also when it was killed
set -eu
scripts=${0%/*}
# The mark of a commit is in the last folder that was restored, and goes with the end of its turn.
set -- "$1" /redis /uploads "$PGDATA"
verb=$1
shift
if [ "$verb" = commit ]; then
  sync
  for folder; do
    [ ! -d "$folder/.restore/new" ] || last=$folder
  done
  touch "$last/.restore/commit"
  sync
fi

is_committed=no
for folder; do
  [ ! -e "$folder/.restore/commit" ] || is_committed=yes
done
for folder; do
  if [ "$is_committed" = yes ]; then
    [ ! -d "$folder" ] || sh "$scripts/follow.sh" "$folder"
  else
    rm -rf "$folder/.restore"
  fi
done
sync
if [ "$is_committed" = yes ]; then echo "replaced"; else echo "nothing was replaced"; fi
