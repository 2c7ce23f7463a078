#!/bin/sh
# Restores the databases of a backup beside those in use: `umami_db_restore` beside `umami_db`.
#
# Input:       a tar of roles.sql, umami.dump, glitchtip.dump, as far as they were saved
# Output:      that of restore.sh
# Environment: that of restore.sh; PGDATA, the folder for the parts
# Volumes:     the server's socket at PGHOST; none at PGDATA, so that an unnamed one has the parts
# Repeatable:  yes
set -eu
mkdir -p "$PGDATA"
cd "$PGDATA"
tar -xf -
exec sh "${0%/*}/restore.sh" _restore
