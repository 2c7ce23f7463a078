-- Gives Umami's administrator the password that .env says. The one statement that holds it reads no
-- table, so that it cannot fail and be logged.
\set ON_ERROR_STOP on
\getenv password UMAMI_ADMIN_PASSWORD
\pset format unaligned
\pset tuples_only on
select crypt(:'password', gen_salt('bf', 10)) as hash \gset
update "user" set password = :'hash', updated_at = now()
where user_id = '41e2b680-648e-4b09-bcd7-3e2b10c06264'
returning 'set';
