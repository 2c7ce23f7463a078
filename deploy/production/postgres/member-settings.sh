#!/bin/sh
# Writes what Patroni is told: /tmp/patroni.yml and, for the settings that all members share and etcd keeps,
# /tmp/shared.json. Both are in memory alone.
#
# Arguments:   the member's name
# Output:      nothing
# Environment: PGDATA, PGHOST and PGUSER, as the image sets them
# Secrets:     /run/secrets/cluster
# Repeatable:  yes
set -eu
umask 077
. /run/secrets/cluster
name=$1

# A value between single quotes, as YAML reads it.
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"; }

# A dead primary's lease runs out after ttl, which must be loop_wait + 2 * retry_timeout at least; if etcd lost its
# leader with it, up to 5 s later. Standbys that are not in step are never promoted, so no transaction that was
# acknowledged is lost; a primary without any standby goes on by itself, and is then the only one that may lead.
cat >/tmp/shared.json <<'JSON'
{
  "ttl": 15,
  "loop_wait": 3,
  "retry_timeout": 5,
  "failsafe_mode": true,
  "synchronous_mode": true,
  "synchronous_mode_strict": false,
  "synchronous_node_count": 1,
  "primary_start_timeout": 30,
  "primary_stop_timeout": 30,
  "postgresql": {
    "use_pg_rewind": true,
    "use_slots": true,
    "parameters": {
      "max_connections": 200,
      "max_locks_per_transaction": 256,
      "max_wal_senders": 10,
      "max_replication_slots": 10,
      "max_slot_wal_keep_size": "1GB",
      "wal_level": "replica",
      "wal_log_hints": "on",
      "hot_standby": "on"
    }
  }
}
JSON

cat >/tmp/patroni.yml <<YML
scope: analytics
namespace: /patroni/
name: $name
restapi:
  listen: 0.0.0.0:8008
  connect_address: $name:8008
  authentication: {username: patroni, password: $(quoted "$PATRONI_PASSWORD")}
etcd3:
  hosts: [etcd-1:2379, etcd-2:2379, etcd-3:2379]
postgresql:
  listen: 0.0.0.0:5432
  connect_address: $name:5432
  data_dir: $PGDATA
  bin_dir: /usr/lib/postgresql/15/bin
  pgpass: /tmp/pgpass
  use_unix_socket: true
  use_unix_socket_repl: true
  authentication:
    superuser: {username: $PGUSER}
    replication: {username: replicator, password: $(quoted "$REPLICATION_PASSWORD")}
    rewind: {username: rewinder, password: $(quoted "$REWIND_PASSWORD")}
  custom_conf: /etc/postgresql/server.conf
  parameters:
    hba_file: /etc/postgresql/member.conf
    unix_socket_directories: $PGHOST
  # A bucket that is away must not keep a standby from being promoted.
  recovery_conf:
    restore_command: 'timeout 10 pgbackrest archive-get %f "%p"'
  create_replica_methods: [clone]
  clone: {command: clone.sh, keep_data: true}
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  callbacks: {on_start: primary.sh, on_role_change: primary.sh}
YML
# Without `bootstrap` a member never makes a cluster of its own; the shared settings are taken from it once.
if [ -e "$PGDATA/PG_VERSION" ]; then
  printf 'bootstrap:\n  dcs: %s\n' "$(jq --compact-output . /tmp/shared.json)" >>/tmp/patroni.yml
fi
