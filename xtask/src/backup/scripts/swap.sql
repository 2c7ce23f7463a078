-- Puts the restored databases into the place of those in use, both at once.
\getenv umami UMAMI_DATABASE
\getenv glitchtip GLITCHTIP_DATABASE
select pg_terminate_backend(pid) from pg_stat_activity
where datname in (:'umami', :'glitchtip', :'umami' || '_restore', :'glitchtip' || '_restore');
begin;
select format('alter database %I rename to %I', name, name || '_before_restore'),
       format('alter database %I rename to %I', name || '_restore', name)
from unnest(array[:'umami', :'glitchtip']) as name \gexec
commit;
