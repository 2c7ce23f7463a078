#!/bin/sh
# Makes a checksum of what the applications' migrations made: columns, indexes, constraints, and the
# migrations themselves. Partitions are left out: GlitchTip makes new ones every day.
#
# Output:      a line of md5sum for each database
# Environment: PGHOST, PGUSER, UMAMI_DATABASE, GLITCHTIP_DATABASE
# Volumes:     the server's socket at PGHOST, if it is a folder
# Repeatable:  yes; nothing is changed
set -eu
for database in "$UMAMI_DATABASE" "$GLITCHTIP_DATABASE"; do
  psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --dbname "$database" --file - <<'SQL' | md5sum
create temporary view ours as
select oid, relname from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S') and not relispartition;
select relname, attname, format_type(atttypid, atttypmod), attnotnull
from ours join pg_attribute on attrelid = ours.oid where attnum > 0 and not attisdropped order by 1, 2;
select relname, pg_get_indexdef(indexrelid) from ours join pg_index on indrelid = ours.oid order by 1, 2;
select relname, pg_get_constraintdef(pg_constraint.oid) from ours join pg_constraint on conrelid = ours.oid order by 1, 2;
select format('select * from %s as migration order by migration::text', name)
from unnest(array['public._prisma_migrations', 'public.django_migrations']) as name
where to_regclass(name) is not null \gexec
SQL
done
