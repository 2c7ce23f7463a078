#!/bin/sh
# Names the cluster that PostgreSQL uses from its next start on, if that comes within an hour: later, rows would be
# lost that were written meanwhile.
#
# Arguments:   the name that restore.sh printed, or `previous` to go back to the one before
# Output:      one line of JSON: the cluster and the one in use until then
# Volumes:     PostgreSQL's data
# Repeatable:  yes
set -eu
cd /var/lib/postgresql/data
name=${1:?the name of a cluster, or previous}
if [ "$name" = previous ]; then
  name=$(basename "$(readlink previous || true)")
elif [ ! -e "clusters/$name/counted" ]; then
  name=
fi
if [ -z "$name" ] || [ ! -d "clusters/$name" ]; then
  echo "there is no restored cluster '$1'" >&2
  exit 1
fi

was=$(basename "$(readlink current || true)")
echo "$name" >next.new
mv -T next.new next
printf '{"operation":"switch","cluster":"%s","was":"%s"}\n' "$name" "$was"
