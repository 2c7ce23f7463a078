-- Opens Umami's accounts, between its migration and its first start: takes the
-- password that Umami ships away from its administrator and creates the sites.
-- Run by psql on every start, as the role that owns Umami's database; whatever
-- exists already is left as it is. With SET_ADMIN_PASSWORD=1 the administrator
-- gets the password that .env says, whatever it was before:
--
--   docker compose run --rm --env SET_ADMIN_PASSWORD=1 umami-accounts
--
-- The tables and the shipped password are those of Umami 3.1.0. psql puts the
-- values into the statements itself, so that none is ever a process argument.

\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
\pset format unaligned
set client_min_messages = warning;

-- \getenv leaves a variable alone when the environment has none of that name.
\set password ''
\set website_id ''
\set site_name ''
\set site_domain ''
\set set_password ''
\getenv set_password SET_ADMIN_PASSWORD
\getenv password UMAMI_ADMIN_PASSWORD
\getenv website_id UMAMI_WEBSITE_ID
\getenv site_name SITE_NAME
\getenv site_domain SITE_DOMAIN

-- The site that holds the events of `cargo xtask verify`. The id is constant,
-- so that nobody has to look for it.
\set verify_id 'ca5cade0-7e57-4e57-8e57-ca5cade07e57'
\set verify_name 'xtask verify'

-- What stands in for a password while .env has only a placeholder for it. It is
-- no hash, so no password fits, and a later start recognises it.
\set locked 'locked: UMAMI_ADMIN_PASSWORD is not set'

begin;

-- Two starts at once must not both find a thing missing.
lock table "user" in share row exclusive mode;

select :'password' in ('', 'umami') or :'password' like 'change_this%' as no_password \gset

select :'set_password' = '1' as is_asked,
       :'set_password' = '1' and not exists (
         select from "user" where user_id = '41e2b680-648e-4b09-bcd7-3e2b10c06264') as has_nobody \gset
\if :has_nobody
  do $$ begin raise 'Umami has no administrator to give a password to'; end $$;
\endif

-- Is the password the shipped one, or locked? The administrator that Umami ships
-- has this id, whatever it is called by now. pgcrypto does not know the prefix
-- $2b$ of the shipped hash: compared as it is, it would never match. CASE keeps
-- crypt() from what is no hash.
select exists (
  select from "user"
  where user_id = '41e2b680-648e-4b09-bcd7-3e2b10c06264'
    and case when :'is_asked'::boolean then true
             when password = :'locked' then not :'no_password'::boolean
             when password ~ '^\$2[aby]\$\d\d\$.{53}$'
             then '$2a$' || substr(password, 5) = crypt('umami', '$2a$' || substr(password, 5))
             else false end) as needs_password \gset

\if :needs_password
  -- The one statement with the password reads no table, so that it does not fail
  -- where a write would: PostgreSQL logs the statements that fail.
  \if :no_password
    \set hash :locked
  \else
    select crypt(:'password', gen_salt('bf', 10)) as hash \gset
  \endif
  update "user" set password = :'hash', updated_at = now()
  where user_id = '41e2b680-648e-4b09-bcd7-3e2b10c06264'
  returning case when :'no_password'::boolean
                 then 'locked the administrator "' || username || '": UMAMI_ADMIN_PASSWORD is not set in .env'
                 else 'set the password of the administrator "' || username || '"' end;
\endif

-- Umami takes an id only if its version and variant are those of RFC 9562.
select :'website_id' ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
    as has_website_id \gset
\if :has_website_id
\else
  \set website_id :verify_id
  \echo 'created no site: UMAMI_WEBSITE_ID is not a UUID; run cargo xtask setup'
\endif

-- A site deleted in Umami has no row any more, or one that is marked as deleted.
insert into website (website_id, name, domain, user_id, created_by, created_at)
select distinct on (wanted.id)
       wanted.id, wanted.name, wanted.domain, owner.user_id, owner.user_id, now()
from (values (1, :'verify_id'::uuid, :'verify_name', 'verify.invalid'),
             (2, :'website_id'::uuid,
              left(coalesce(nullif(:'site_name', ''), nullif(:'site_domain', ''), 'website'), 100),
              left(:'site_domain', 500))) as wanted (place, id, name, domain),
     lateral (select user_id from "user"
              where role = 'admin' and deleted_at is null
              order by user_id <> '41e2b680-648e-4b09-bcd7-3e2b10c06264', created_at
              limit 1) as owner
order by wanted.id, wanted.place
on conflict (website_id) do update set deleted_at = null
  where website.deleted_at is not null
returning 'created the site "' || name || '"';

commit;
