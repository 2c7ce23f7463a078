#!/bin/sh
# Makes an append-only file of the Redis snapshot of a backup, beside the data in use, for settle.sh.
#
# Input:       redis.rdb of the backup
# Volumes:     Redis' data at /data; the new files go to /data/.restore/new
# Repeatable:  yes; what an earlier run left is replaced
set -eu
rm -rf /data/.restore
mkdir -p /data/.restore/new
cd /data/.restore
cat >redis.rdb
redis-server --port 0 --unixsocket /tmp/redis.sock --dir /data/.restore --dbfilename redis.rdb --save '' >log &
server=$!
ask() { redis-cli -s /tmp/redis.sock "$@" 2>/dev/null; }
# wait_for TEXT COMMAND…: until the answer has that text, or there is no server any more.
wait_for() {
  text=$1
  shift
  until ask "$@" | grep -q "$text"; do
    kill -0 "$server" || { cat log >&2; exit 1; }
    sleep 0.1
  done
}
wait_for PONG ping
ask config set appendonly yes >/dev/null
wait_for aof_rewrite_in_progress:0 info persistence
wait_for aof_rewrite_scheduled:0 info persistence
wait_for aof_last_bgrewrite_status:ok info persistence
ask shutdown nosave || true
wait "$server"
mv appendonly* new/
