-- Dumps a database and says what is in it, both of one and the same snapshot. For psql; see dump.sh.
--
-- Input:       the database that psql is connected to, and that PGDATABASE names; nothing in it is changed
-- Output:      the dump in PostgreSQL's custom format; on stderr `version|VERSION`, the lines of
--              count.sql, and `complete` at the end
-- Repeatable:  yes
\o |cat >&2
\pset format unaligned
\pset tuples_only on
begin isolation level repeatable read, read only;
select pg_export_snapshot() as snapshot \gset
\setenv SNAPSHOT :snapshot
select 'version', split_part(current_setting('server_version'), ' ', 1);
\ir count.sql
\o
\! pg_dump --format custom --snapshot "$SNAPSHOT" && echo complete >&2
commit;
