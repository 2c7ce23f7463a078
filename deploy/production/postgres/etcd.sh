#!/bin/sh
# Becomes one of the three etcd that remember which member of the database is the primary. A volume that is empty
# though the others know this etcd was lost: it joins them anew, under a new number.
#
# Output:      etcd's log
# Environment: MEMBER, which is 1, 2 or 3
# Volumes:     etcd's data at /var/lib/etcd
# Repeatable:  yes; it waits while another one runs on this volume
set -eu
cd /var/lib/etcd
name=etcd-${MEMBER:?1, 2 or 3}
exec 9>lock
if ! flock --nonblock 9; then
  echo "another etcd runs on this volume: waiting for its end" >&2
  flock 9
fi

state=new
if [ ! -d data/member ]; then
  for other in 1 2 3; do
    [ "$other" != "$MEMBER" ] || continue
    export ETCDCTL_ENDPOINTS=http://etcd-$other:2379 ETCDCTL_DIAL_TIMEOUT=2s ETCDCTL_COMMAND_TIMEOUT=5s
    # number, state, name, addresses for the others, addresses for clients, whether it only learns
    known=$(etcdctl member list 2>/dev/null) || continue
    # One that has never run has no address for clients yet, and begins with the others.
    lost=$(echo "$known" | awk -F ', ' -v name="$name" '$3 == name && $5 != "" {print $1}')
    again=$(echo "$known" | awk -F ', ' -v url="http://$name:2380" '$3 == "" && $4 == url {print $1}')
    if [ "$lost" ]; then
      echo "the others know $name, and its volume is empty: joining them anew" >&2
      etcdctl member remove "$lost" >&2
      etcdctl member add "$name" --peer-urls "http://$name:2380" >&2
      state=existing
    elif [ "$again" ]; then
      state=existing
    fi
    break
  done
fi

# When its leader dies, etcd answers nobody until another is elected, after one to two times the timeout, and renews
# each lease then. Twice 2.5 s is within Patroni's retry_timeout, so no healthy primary gives up for it.
exec etcd --name "$name" --data-dir data --logger zap --log-level warn \
  --initial-cluster etcd-1=http://etcd-1:2380,etcd-2=http://etcd-2:2380,etcd-3=http://etcd-3:2380 \
  --initial-cluster-state "$state" --initial-cluster-token analytics \
  --listen-peer-urls http://0.0.0.0:2380 --initial-advertise-peer-urls "http://$name:2380" \
  --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls "http://$name:2379" \
  --heartbeat-interval 250 --election-timeout 2500 --pre-vote \
  --auto-compaction-mode periodic --auto-compaction-retention 1h
