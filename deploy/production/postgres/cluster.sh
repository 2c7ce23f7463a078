#!/bin/sh
# Tells how the members of DATABASE=ha stand, or asks Patroni for a change.
#
# Arguments:   nothing, or one of
#                switchover FROM TO     the primary FROM ends cleanly, and the standby TO becomes the primary
#                failover TO            TO becomes the primary although there is none; what it lacks is lost
#                reinitialize MEMBER    the member copies everything anew from another
#                forget                 etcd forgets the members, none of which may run
# Output:      one line of JSON of how they stand: what Patroni answers for each member, null where it does not, and
#              whether each etcd is one of a majority; or Patroni's answer to the change
# Secrets:     /run/secrets/cluster, for a change
# Repeatable:  yes
set -eu
etcd=http://etcd-1:2379,http://etcd-2:2379,http://etcd-3:2379
fetch() { curl --silent --noproxy '*' --max-time 3 "$@"; }

# Whatever its status is: a standby answers 503 to who looks for a primary.
report() {
  folder=$(mktemp -d)
  for number in 1 2 3; do
    fetch --output "$folder/postgres-$number" "http://postgres-$number:8008/patroni" &
    fetch --output "$folder/etcd-$number" "http://etcd-$number:2379/health" &
  done
  wait
  for number in 1 2 3; do
    for name in postgres etcd; do
      jq --compact-output . "$folder/$name-$number" >"$folder/$name-$number.json" 2>/dev/null && [ -s "$folder/$name-$number.json" ] ||
        echo null >"$folder/$name-$number.json"
    done
  done
  jq --null-input --compact-output \
    --slurpfile p1 "$folder/postgres-1.json" --slurpfile p2 "$folder/postgres-2.json" --slurpfile p3 "$folder/postgres-3.json" \
    --slurpfile e1 "$folder/etcd-1.json" --slurpfile e2 "$folder/etcd-2.json" --slurpfile e3 "$folder/etcd-3.json" '
    {members: {"postgres-1": $p1[0], "postgres-2": $p2[0], "postgres-3": $p3[0]},
     etcd: ({"etcd-1": $e1[0], "etcd-2": $e2[0], "etcd-3": $e3[0]} | map_values((.health? // "") == "true"))}'
  rm -rf "$folder"
}

# change MEMBER WHAT JSON: the password comes by stdin, so that no argument has it.
change() {
  . /run/secrets/cluster
  answer=$(printf 'user = "patroni:%s"\n' "$PATRONI_PASSWORD" |
    curl --silent --show-error --noproxy '*' --max-time 120 --config - --fail-with-body --data "$3" "http://$1:8008/$2") ||
    { echo "$answer" >&2; exit 1; }
  echo "$answer"
}

# Any member takes the wish.
change_any() {
  for number in 1 2 3; do
    if fetch --output /dev/null "http://postgres-$number:8008/liveness"; then
      change "postgres-$number" "$1" "$2"
      return
    fi
  done
  echo "no member answers" >&2
  exit 1
}

case ${1:-} in
  '') report ;;
  switchover) change_any switchover "{\"leader\":\"${2:?from}\",\"candidate\":\"${3:?to}\"}" ;;
  failover) change_any failover "{\"candidate\":\"${2:?to}\"}" ;;
  reinitialize) change "${2:?member}" reinitialize '{"force":true}' ;;
  forget) ETCDCTL_ENDPOINTS=$etcd etcdctl del --prefix /patroni/analytics/ >/dev/null ;;
  *) echo "there is no '$1'" >&2; exit 2 ;;
esac
