#!/bin/sh
# Asks the names, and tries the bucket for backups as pgBackRest does: writes a file, reads it and deletes it.
#
# Arguments:   names to resolve
# Input:       pgBackRest's configuration with its secrets, a line `# authorities`, certificates to trust
# Output:      `name NAME ADDRESS` for each address; `bucket` when it works. Why it does not is on stderr
# Environment: PGBACKREST_*, as stack.yml sets them; SSL_CERT_FILE=/tmp/authorities
# Volumes:     none; in memory at /tmp, and the network of the machine
# Repeatable:  yes; what a killed one left in the bucket is a file of some bytes
set -eu
umask 077
cat >/tmp/input
sed '/^# authorities$/,$d' /tmp/input >/tmp/pgbackrest.conf
sed '1,/^# authorities$/d' /tmp/input >/tmp/authorities

for name; do
  getent ahosts "$name" | awk -v name="$name" '!seen[$1]++ {print "name", name, $1}' || true
done

# Outside of what a stanza has, and as it is.
file=doctor/$$-$(date +%s)
try() {
  timeout 20 pgbackrest --config=/tmp/pgbackrest.conf --log-level-stderr=error "$@" || {
    code=$?
    [ "$code" != 124 ] || echo "ERROR: there is no answer within 20 seconds" >&2
    return "$code"
  }
}
echo written | try repo-put --raw "$file"
found=$(try repo-get --raw "$file")
try repo-rm "$file"
[ "$found" = written ] || { echo "ERROR: it gives back something else than was written" >&2; exit 1; }
echo bucket
