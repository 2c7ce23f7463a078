# Defines `restore`: from the tar on stdin into databases of names of their own.
set -eu
export LC_ALL=C PGOPTIONS='--client-min-messages=warning'
query() { psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@"; }

# Each takes memory of the server's.
jobs=$(nproc)
[ "$jobs" -le 4 ] || jobs=4

# restore SUFFIX: fills umami and glitchtip, each with SUFFIX, and prints what is in them.
restore() {
  # Roles that exist are no mistake.
  query --set ON_ERROR_STOP=0 --dbname postgres --file roles.sql >/dev/null 2>&1 || true
  for service in umami glitchtip; do
    case $service in
      umami) database=$UMAMI_DATABASE$1 ;;
      glitchtip) database=$GLITCHTIP_DATABASE$1 ;;
    esac
    dropdb --maintenance-db postgres --if-exists --force "$database"
    createdb --maintenance-db postgres --template template0 "$database"
    pg_restore --exit-on-error --jobs "$jobs" --dbname "$database" "$service.dump"
    rm "$service.dump"
    echo "database|$service"
    query --dbname "$database" --file count.sql
  done
  echo complete
}
