#!/bin/sh
# Brings a restore to its end, at whatever point it stands: once the databases have been swapped, uploads
# and Redis follow and the old databases go; before that, what was prepared goes.
#
# Output:      `replaced` or `nothing was replaced`
# Environment: UMAMI_DATABASE, GLITCHTIP_DATABASE, and that of drop.sh
# Volumes:     the server's socket at PGHOST, if it is a folder; GlitchTip's uploads at /uploads, Redis' data at /redis; no
#              other service may use them
# Repeatable:  yes, also when it was killed
set -eu
scripts=${0%/*}
query() { psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --dbname "$POSTGRES_DB" --file -; }
drop() {
  sh "$scripts/drop.sh" "$UMAMI_DATABASE$1"
  sh "$scripts/drop.sh" "$GLITCHTIP_DATABASE$1"
}

swapped=$(query <<'SQL'
\getenv umami UMAMI_DATABASE
\getenv glitchtip GLITCHTIP_DATABASE
select count(*) from pg_database where datname in (:'umami' || '_before_restore', :'glitchtip' || '_before_restore');
SQL
)
if [ "$swapped" -eq 0 ]; then
  drop _restore
  rm -rf /uploads/.restore /redis/.restore
  echo "nothing was replaced"
  exit
fi

sh "$scripts/follow.sh" /uploads
sh "$scripts/follow.sh" /redis
drop _before_restore
echo "replaced"
