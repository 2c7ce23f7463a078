# Restores into a server that lives as long as this script.
cd "$PGDATA"
mkdir parts server
cd parts
tar -xf -
tar -tf uploads.tar >/dev/null
rm uploads.tar
initdb --pgdata ../server --auth trust --username "$PGUSER" --encoding UTF8 --locale C --no-sync >/dev/null
export PGHOST=/tmp
pg_ctl --pgdata ../server --silent --wait --log ../log --options "-c listen_addresses= -c unix_socket_directories=/tmp \
  -c fsync=off -c full_page_writes=off -c autovacuum=off -c max_parallel_maintenance_workers=0" start >/dev/null ||
  { cat ../log >&2; exit 1; }
restore ''
