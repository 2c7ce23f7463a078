#!/bin/sh
# Puts the restored databases into the place of those in use, both at once: `umami_db_restore` becomes
# `umami_db`, which becomes `umami_db_before_restore`. A database that was not restored stays in use.
#
# Environment: PGHOST, PGUSER, UMAMI_DATABASE, GLITCHTIP_DATABASE; POSTGRES_DB, the database to come in by
# Volumes:     the server's socket at PGHOST, if it is a folder
# Repeatable:  no; it changes nothing when it fails
set -eu
exec psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname "$POSTGRES_DB" --file - <<'SQL'
\getenv umami UMAMI_DATABASE
\getenv glitchtip GLITCHTIP_DATABASE
select pg_terminate_backend(pid) from pg_stat_activity
where datname in (:'umami', :'glitchtip', :'umami' || '_restore', :'glitchtip' || '_restore')
  -- Who is no superuser may not end what others do, such as the server itself.
  and (usename in ('umami', 'glitchtip', current_user) or current_setting('is_superuser')::boolean);
begin;
select format('alter database %I rename to %I', name, name || '_before_restore'),
       format('alter database %I rename to %I', name || '_restore', name)
from unnest(array[:'umami', :'glitchtip']) as name
where exists (select from pg_database where datname = name || '_restore') \gexec
commit;
SQL
