-- Makes roles, databases and passwords what .env says. Runs on every start, as the superuser, over
-- the unix socket; whatever is already so stays as it is. No data is ever dropped here.
--
-- umami and glitchtip are roles without privileges: each owns the one database of its application
-- and may not connect to the other's.
--
-- An application may log in as another role, named by UMAMI_LOGIN and GLITCHTIP_LOGIN: then its own
-- role cannot log in, and whoever logs in as that one acts as it. So a password can be changed
-- without a pause: a second login is opened, and the first one closed when nobody uses it any more,
-- with CLOSE_OTHER_LOGINS=1. Without POSTGRES_PASSWORD the superuser's stays as it is.

\set ON_ERROR_STOP on

\getenv superuser PGUSER
\getenv superuser_password POSTGRES_PASSWORD
\getenv default_database POSTGRES_DB
\getenv umami_database UMAMI_DATABASE
\getenv umami_password UMAMI_DATABASE_PASSWORD
\getenv glitchtip_database GLITCHTIP_DATABASE
\getenv glitchtip_password GLITCHTIP_DATABASE_PASSWORD
\set umami_login umami
\getenv umami_login UMAMI_LOGIN
\set glitchtip_login glitchtip
\getenv glitchtip_login GLITCHTIP_LOGIN
\set close_other_logins 0
\getenv close_other_logins CLOSE_OTHER_LOGINS

-- A statement that fails must not take a password into the server's log.
SET log_min_error_statement = panic;
SET log_statement = none;
SET log_min_duration_statement = -1;

SELECT :'superuser' IN ('umami', 'glitchtip', :'umami_login', :'glitchtip_login') AS superuser_is_taken,
       :'umami_database' = :'glitchtip_database' AS databases_are_one \gset
\if :superuser_is_taken
    DO $$ BEGIN RAISE 'POSTGRES_USER must not be umami or glitchtip: these are the applications'' own roles'; END $$;
\endif
\if :databases_are_one
    DO $$ BEGIN RAISE 'UMAMI_DATABASE and GLITCHTIP_DATABASE must differ'; END $$;
\endif

SELECT format('CREATE ROLE %I', name)
FROM (SELECT DISTINCT unnest(ARRAY['umami', 'glitchtip', :'umami_login', :'glitchtip_login'])) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

\if :{?superuser_password}
    ALTER ROLE :"superuser" PASSWORD :'superuser_password' VALID UNTIL 'infinity';
\endif
ALTER ROLE umami NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE glitchtip NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE :"umami_login" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'umami_password' VALID UNTIL 'infinity';
ALTER ROLE :"glitchtip_login" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'glitchtip_password' VALID UNTIL 'infinity';

-- A login that is not the owner acts as it from the first statement on.
SELECT format(statement, owner, login)
FROM (VALUES (1, 'umami', :'umami_login'), (2, 'glitchtip', :'glitchtip_login')) AS wanted (place, owner, login),
     unnest(ARRAY['ALTER ROLE %1$I NOLOGIN', 'GRANT %1$I TO %2$I', 'ALTER ROLE %2$I SET role = %1$I']) AS statement
WHERE login <> owner
ORDER BY place \gexec
SELECT format('ALTER ROLE %I NOLOGIN', role.rolname)
FROM (VALUES ('umami', :'umami_login'), ('glitchtip', :'glitchtip_login')) AS wanted (owner, login)
JOIN pg_auth_members ON roleid = owner::regrole
JOIN pg_roles AS role ON role.oid = member
WHERE :'close_other_logins' = '1' AND role.rolcanlogin AND NOT role.rolsuper AND role.rolname <> login \gexec

-- What these roles send holds passwords and tokens: a statement that fails is logged without its text.
ALTER ROLE :"umami_login" SET log_min_error_statement = panic;
ALTER ROLE :"glitchtip_login" SET log_min_error_statement = panic;

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
