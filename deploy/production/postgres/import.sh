#!/bin/sh
# Makes the databases of a file of `cargo xtask backup` those of production: restores them beside those in use, counts,
# and puts both in their place at once. Those from before stay as umami_db_before_import until the next import.
#
# Input:       the file
# Output:      one line of JSON: the rows; stderr tells the progress
# Environment: PGHOST and PGUSER, as the image sets them
# Volumes:     PostgreSQL's data, where there must be room for the file and its databases; the socket
# Repeatable:  yes, also when it was killed; the applications must not run, or they lose what they write meanwhile
set -eu
folder=/var/lib/postgresql/data/import
query() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"; }
export PGOPTIONS='--client-min-messages=warning'

exec 8>/var/lib/postgresql/data/import.lock
# A container that is being stopped has it for some seconds more.
flock --timeout 60 8 || { echo "another import is at work" >&2; exit 1; }
rm -rf "$folder"
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' TERM INT
mkdir "$folder"
tar --extract --directory "$folder" umami.dump glitchtip.dump

for owner in umami glitchtip; do
  echo "restoring ${owner}_db" >&2
  dropdb --if-exists --force "${owner}_db_import"
  createdb --template template0 --owner "$owner" "${owner}_db_import"
  query --command "REVOKE ALL ON DATABASE ${owner}_db_import FROM PUBLIC"
  # As the owner, whatever role the file names.
  pg_restore --exit-on-error --no-owner --no-privileges --role "$owner" --dbname "${owner}_db_import" "$folder/$owner.dump"
  rm "$folder/$owner.dump"
done
rows=$(count.sh _import)

for owner in umami glitchtip; do
  dropdb --if-exists --force "${owner}_db_before_import"
done
query >&2 <<'SQL'
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname IN ('umami_db', 'glitchtip_db', 'umami_db_import', 'glitchtip_db_import') \g /dev/null
BEGIN;
SELECT format('ALTER DATABASE %I RENAME TO %I', name, name || '_before_import'),
       format('ALTER DATABASE %I RENAME TO %I', name || '_import', name)
FROM unnest(ARRAY['umami_db', 'glitchtip_db']) AS name \gexec
COMMIT;
SQL
echo "{\"operation\":\"import\",\"rows\":$rows}"
