#!/bin/sh
# Makes an empty cluster. Over the socket the superuser needs no password; over the network nobody is one.
#
# Arguments:   its name
# Environment: PGUSER, as the image sets it
# Volumes:     the clusters at /var/lib/postgresql/data
# Repeatable:  yes, also when it was killed
set -eu
cd /var/lib/postgresql/data
rm -rf clusters/.new
initdb --pgdata clusters/.new --username "$PGUSER" --auth-local trust --auth-host scram-sha-256 --data-checksums
echo 'host all all all scram-sha-256' >>clusters/.new/pg_hba.conf
mv -T clusters/.new "clusters/$1"
