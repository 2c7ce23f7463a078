-- Makes our two roles and databases on the server that POSTGRES_HOST names, and their passwords what .env says.
-- Runs on every start, as POSTGRES_USER, which may create roles and databases and need be no superuser;
-- whatever is already so stays as it is. No data is ever dropped here.
--
-- Nothing else on that server is changed. A role or database that has one of our names and is not ours is
-- refused. Ours are the roles with the comment below, and the databases that belong to them.

\set ON_ERROR_STOP on

\getenv umami_database UMAMI_DATABASE
\getenv umami_password UMAMI_DATABASE_PASSWORD
\getenv glitchtip_database GLITCHTIP_DATABASE
\getenv glitchtip_password GLITCHTIP_DATABASE_PASSWORD

\set mark 'a role of the analytics stack'

-- What is in the way: the first of it ends this, before anything was changed.
SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING MESSAGE = %L, HINT = %L; END', message, hint))
FROM (
  SELECT 1, 'this server is PostgreSQL ' || current_setting('server_version') || ', and GlitchTip needs 14 or newer',
         'set POSTGRES_HOST to a newer server'
  WHERE current_setting('server_version_num')::integer < 140000
  UNION ALL
  SELECT 2, 'POSTGRES_USER must not be umami or glitchtip: these are the applications'' own roles', 'use another role'
  WHERE current_user IN ('umami', 'glitchtip')
  UNION ALL
  SELECT 3, 'UMAMI_DATABASE and GLITCHTIP_DATABASE must differ', 'use two names'
  WHERE :'umami_database' = :'glitchtip_database'
  UNION ALL
  SELECT 4, format('the role "%s" is there and is not of this stack', rolname),
         format('if nobody else uses it: COMMENT ON ROLE %I IS %L', rolname, :'mark')
  FROM pg_roles
  WHERE rolname IN ('umami', 'glitchtip') AND shobj_description(oid, 'pg_authid') IS DISTINCT FROM :'mark'
  UNION ALL
  SELECT 5, format('the database "%s" is there and belongs to "%s"', datname, pg_get_userbyid(datdba)),
         'set ' || variable || ' to a name that is free'
  FROM (VALUES (:'umami_database', 'umami', 'UMAMI_DATABASE'),
               (:'glitchtip_database', 'glitchtip', 'GLITCHTIP_DATABASE')) AS wanted (name, owner, variable)
  JOIN pg_database ON datname = name
  WHERE pg_get_userbyid(datdba) <> owner
  UNION ALL
  SELECT 6, format('the role "%s" may not create %s', rolname, what), format('ALTER ROLE %I %s', rolname, attribute)
  FROM pg_roles
  CROSS JOIN LATERAL (VALUES ('roles', 'CREATEROLE', rolcreaterole), ('databases', 'CREATEDB', rolcreatedb))
    AS needed (what, attribute, is_there)
  WHERE rolname = current_user AND NOT rolsuper AND NOT is_there
) AS problem (place, message, hint)
ORDER BY place
LIMIT 1 \gexec

SELECT format('CREATE ROLE %I LOGIN', name), format('COMMENT ON ROLE %I IS %L', name, :'mark')
FROM unnest(ARRAY['umami', 'glitchtip']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

-- Who makes a database for a role, or renames one of its, must be a member of it.
SELECT format('GRANT %I TO CURRENT_USER', name)
FROM unnest(ARRAY['umami', 'glitchtip']) AS name
WHERE NOT pg_has_role(name, 'USAGE') \gexec

SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING %L', name, owner, 'UTF8')
FROM (VALUES (:'umami_database', 'umami'), (:'glitchtip_database', 'glitchtip')) AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', name)
FROM unnest(ARRAY[:'umami_database', :'glitchtip_database']) AS name \gexec

-- \password sends what the server stores of a password, never the password: the server's log may have this
-- statement. It asks for it twice.
\! password() { printf '%s\n%s\n' "$2" "$2" | psql --no-psqlrc --command "\password $1" >/dev/null 2>&1; }; password umami "$UMAMI_DATABASE_PASSWORD"; password glitchtip "$GLITCHTIP_DATABASE_PASSWORD"

-- The proof that both passwords are as they should be.
\setenv PGPASSWORD :umami_password
\connect :"umami_database" umami
\setenv PGPASSWORD :glitchtip_password
\connect :"glitchtip_database" glitchtip
