#!/bin/sh
# Says from when to when the certificates of a server are valid, whoever has signed them.
#
# Arguments:   ADDRESS:PORT, then the names that it is asked for
# Output:      for each name `NAME BEGIN END`, in seconds since 1970; nothing where it presents none
# Environment: the network from which the server is reached
# Volumes:     none; it runs in the image of production's PostgreSQL, which has openssl
# Repeatable:  yes; nothing is changed
set -eu
server=$1
shift
for name; do
  dates=$(timeout 10 openssl s_client -connect "$server" -servername "$name" </dev/null 2>/dev/null |
    openssl x509 -noout -startdate -enddate 2>/dev/null) || continue
  begin=$(echo "$dates" | sed -n 's/^notBefore=//p')
  end=$(echo "$dates" | sed -n 's/^notAfter=//p')
  echo "$name $(date --date "$begin" +%s) $(date --date "$end" +%s)"
done
