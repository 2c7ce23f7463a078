-- Counts what is in a database. For psql, unaligned and without titles.
--
-- Input:       the database that psql is connected to; nothing in it is changed
-- Output:      `rows|COUNT|TABLE` for each table, `migration|last|NAME` for the last migration
-- Repeatable:  yes
select format('select ''rows'', count(*), %L from only %I.%I', format('%I.%I', nspname, relname), nspname, relname)
from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where relkind = 'r' and relpersistence <> 't' and nspname <> 'information_schema' and nspname !~ '^pg_'
order by nspname, relname \gexec
select format('select ''migration'', ''last'', %I from %s order by %I desc nulls last limit 1', name, tables, newest)
from (values ('public._prisma_migrations', 'migration_name', 'finished_at'),
             ('public.django_migrations', 'name', 'id')) as known (tables, name, newest)
where to_regclass(tables) is not null \gexec
