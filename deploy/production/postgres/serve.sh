#!/bin/sh
# Becomes PostgreSQL on the volume as soon as it is alone there: makes the first cluster, and takes a restored one
# into use when switch.sh has named it within the hour.
#
# Output:      the server's log
# Environment: PGDATA and PGUSER, as the image sets them; what pgbackrest.conf leaves open
# Volumes:     the clusters at /var/lib/postgresql/data: clusters/NAME, of which the link `current` is in use
# Repeatable:  yes; it waits while another one runs on this volume
set -eu
cd /var/lib/postgresql/data

# The server and all its children keep the lock open: it is free when the last of them has ended.
exec 9>lock
if ! flock --nonblock 9; then
  echo "another PostgreSQL runs on this volume: waiting for its end" >&2
  flock 9
fi

mkdir -p clusters
if [ ! -L current ] && [ ! -e next ]; then
  new-cluster.sh first
  echo first >next
fi

# Whoever named it has gone meanwhile, and what was written since is in the cluster in use.
if [ -L current ] && [ -n "$(find . -maxdepth 1 -name next -mmin +60)" ]; then
  echo "the cluster $(cat next) was named more than an hour ago: staying with $(readlink current)" >&2
  rm next
fi

if [ -e next ]; then
  new=clusters/$(cat next)
  old=$(readlink current || echo "$new")
  if [ "$old" != "$new" ]; then
    ln -sfn "$old" previous
  fi
  ln -sfn "$new" current.new
  mv -T current.new current
  rm next
  echo "using the cluster $new"
fi

if [ -e current/standby.signal ]; then
  echo "this volume has a standby of DATABASE=ha: the databases in use are on the node of the last primary" >&2
  sleep 30
  exit 1
fi
# What the members of DATABASE=ha know of each other is old from now on: see member.sh.
touch alone
exec postgres --config-file=/etc/postgresql/server.conf
