-- Dumps the database to stdout and tells on stderr what is in it: of one and the same snapshot.
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
