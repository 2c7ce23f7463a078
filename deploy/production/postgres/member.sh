#!/bin/sh
# Becomes one of the three members of DATABASE=ha: Patroni, which runs PostgreSQL on this volume as the primary or as
# a standby of the member that is. What was PostgreSQL on one node becomes the first primary with all its rows.
#
# Output:      the logs of Patroni and PostgreSQL
# Environment: MEMBER, which is 1, 2 or 3; PGDATA and PGUSER, as the image sets them; what pgbackrest.conf leaves open
# Secrets:     /run/secrets/cluster
# Volumes:     the clusters at /var/lib/postgresql/data, as serve.sh has them
# Repeatable:  yes; it waits while another one runs on this volume
set -eu
cd /var/lib/postgresql/data
name=postgres-${MEMBER:?1, 2 or 3}
export ETCDCTL_ENDPOINTS=http://etcd-1:2379,http://etcd-2:2379,http://etcd-3:2379

# The server and all its children keep the lock open: it is free when the last of them has ended.
exec 9>lock
if ! flock --nonblock 9; then
  echo "another PostgreSQL runs on this volume: waiting for its end" >&2
  flock 9
fi

# What etcd has under a name; nothing where it has none. Waits until etcd answers.
recorded() {
  until etcdctl get --print-value-only "/patroni/analytics/$1" 2>/dev/null; do
    echo "waiting for etcd" >&2
    sleep 2
  done
}
say_used_alone() {
  echo "$(recorded leader) is the primary, and this volume was in use alone since: stop the other members, then" >&2
  echo "remove what etcd knows, as README.md says under 'Back to one node'" >&2
  sleep 30
  exit 1
}

mkdir -p clusters
if [ "$MEMBER" = 1 ] && [ ! -L current ] && [ -z "$(recorded initialize)" ]; then
  # The very first start. If etcd lost its memory instead, a member that has data takes its place there within
  # seconds.
  sleep 10
  if [ -z "$(recorded initialize)" ]; then
    new-cluster.sh first
    touch alone
    ln -sfn clusters/first current
  fi
fi
if [ -e alone ]; then
  # This volume has all rows, and what etcd knows is from before. primary.sh ends that.
  [ -z "$(recorded leader)" ] || say_used_alone
  etcdctl del --prefix /patroni/analytics/ >/dev/null
elif [ -z "$(recorded initialize)" ]; then
  echo "waiting for the first primary: what this volume has may be old" >&2
  until [ "$(recorded initialize)" ]; do sleep 1; done
fi

member-settings.sh "$name"
# A node that is cut off has no other's name any more, and a question for one would take eight seconds: longer than a
# primary has to find out that it must give up.
export RES_OPTIONS='timeout:1 attempts:1'
exec python3 -I /usr/local/bin/run-patroni.py /tmp/patroni.yml
