#!/bin/sh
# What a member that has become the primary does, for Patroni: the roles of the members get the passwords of the
# secret, and etcd the settings that all members share.
#
# Arguments:   as Patroni gives them: what happened, and the member's role now
# Output:      what went wrong, on stderr
# Environment: PGHOST and PGUSER, as the image sets them
# Secrets:     /run/secrets/cluster
# Volumes:     PostgreSQL's data: the mark that its cluster was in use alone goes
# Repeatable:  yes
set -eu
case $2 in
  master | primary) ;;
  *) exit 0 ;;
esac
# Patroni says so before it is: promotion takes a moment. Should it fail, the next role ends this script.
until [ "$(psql --no-psqlrc --tuples-only --no-align --command 'SELECT pg_is_in_recovery()')" = f ]; do sleep 0.2; done
rm -f /var/lib/postgresql/data/alone
set -a
. /run/secrets/cluster
set +a

# By itself: a standby that needs these roles cannot confirm them.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 <<'SQL'
SET synchronous_commit = local;
SET log_min_error_statement = panic;
\getenv replication_password REPLICATION_PASSWORD
\getenv rewind_password REWIND_PASSWORD
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['replicator', 'rewinder']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE replicator LOGIN REPLICATION PASSWORD :'replication_password';
ALTER ROLE rewinder LOGIN PASSWORD :'rewind_password';
GRANT CONNECT ON DATABASE postgres TO rewinder;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text),
  pg_read_binary_file(text, bigint, bigint, boolean) TO rewinder;
SQL

# The password comes by stdin, so that no argument has it.
printf 'user = "patroni:%s"\n' "$PATRONI_PASSWORD" |
  curl --silent --show-error --fail --noproxy '*' --max-time 10 --output /dev/null --config - --request PATCH \
    --data @/tmp/shared.json http://127.0.0.1:8008/config
