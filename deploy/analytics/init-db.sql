-- Makes roles, databases and passwords what .env says. Runs on every start, as the superuser, over
-- the unix socket; whatever is already so stays as it is. No data is ever dropped here.
--
-- umami and glitchtip are roles without privileges: each owns the one database of its application
-- and may not connect to the other's.

\set ON_ERROR_STOP on

\getenv superuser PGUSER
\getenv superuser_password POSTGRES_PASSWORD
\getenv default_database POSTGRES_DB
\getenv umami_database UMAMI_DATABASE
\getenv umami_password UMAMI_DATABASE_PASSWORD
\getenv glitchtip_database GLITCHTIP_DATABASE
\getenv glitchtip_password GLITCHTIP_DATABASE_PASSWORD

-- A statement that fails must not take a password into the server's log.
SET log_min_error_statement = panic;
SET log_statement = none;
SET log_min_duration_statement = -1;

SELECT :'superuser' IN ('umami', 'glitchtip') AS superuser_is_taken,
       :'umami_database' = :'glitchtip_database' AS databases_are_one \gset
\if :superuser_is_taken
    DO $$ BEGIN RAISE 'POSTGRES_USER must not be umami or glitchtip: these are the applications'' own roles'; END $$;
\endif
\if :databases_are_one
    DO $$ BEGIN RAISE 'UMAMI_DATABASE and GLITCHTIP_DATABASE must differ'; END $$;
\endif

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['umami', 'glitchtip']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE :"superuser" PASSWORD :'superuser_password';
ALTER ROLE umami LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'umami_password';
ALTER ROLE glitchtip LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'glitchtip_password';

-- What these roles send holds passwords and tokens: a statement that fails is logged without its text.
ALTER ROLE umami SET log_min_error_statement = panic;
ALTER ROLE glitchtip SET log_min_error_statement = panic;

-- From template0: template1 cannot be copied on a volume that another C library has written to.
SELECT format('CREATE DATABASE %I TEMPLATE template0', :'default_database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'default_database') \gexec

SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0', name, owner)
FROM (VALUES (:'umami_database', 'umami'), (:'glitchtip_database', 'glitchtip')) AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

-- A database that is older than the roles: made by the superuser, as in the plan for 0.9.0.
SELECT format('ALTER DATABASE %I OWNER TO %I', datname, owner)
FROM (VALUES (:'umami_database', 'umami'), (:'glitchtip_database', 'glitchtip')) AS wanted (name, owner)
JOIN pg_database ON datname = name
WHERE pg_get_userbyid(datdba) <> owner \gexec

SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', name)
FROM unnest(ARRAY[:'umami_database', :'glitchtip_database', :'default_database', 'postgres', 'template1']) AS name
\gexec

-- What is inside such a database belongs to its application too.
\connect :"umami_database"
SET log_min_error_statement = panic;
SELECT format('ALTER SCHEMA public OWNER TO umami')
WHERE EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public' AND pg_get_userbyid(nspowner) NOT IN ('umami', 'pg_database_owner')) \gexec
SELECT format('ALTER %s public.%I OWNER TO umami', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, relname)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND pg_get_userbyid(relowner) <> 'umami'
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e') \gexec

\connect :"glitchtip_database"
SELECT format('ALTER SCHEMA public OWNER TO glitchtip')
WHERE EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public' AND pg_get_userbyid(nspowner) NOT IN ('glitchtip', 'pg_database_owner')) \gexec
SELECT format('ALTER %s public.%I OWNER TO glitchtip', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, relname)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND pg_get_userbyid(relowner) <> 'glitchtip'
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e') \gexec
