#!/bin/sh
# Makes room for a new cluster beside PostgreSQL's data in use, for stage-cluster.sh.
#
# Environment: PGDATA, as the image or the service sets it
# Volumes:     the one with PostgreSQL's data, where the service has it; nobody else may use it
# Repeatable:  yes; what an earlier run left is replaced
set -eu
mkdir -p "$PGDATA"
rm -rf "$PGDATA/.restore"
mkdir "$PGDATA/.restore"
chown postgres:postgres "$PGDATA" "$PGDATA/.restore"
chmod 700 "$PGDATA" "$PGDATA/.restore"
