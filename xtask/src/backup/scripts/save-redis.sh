#!/bin/sh
# Saves all that Redis holds. It comes at once, and not after the seconds in which Redis waits for more
# replicas.
#
# Output:      a snapshot in Redis' own format (RDB)
# Volumes:     none; it runs in Redis' own container, where redis-cli reaches the server
# Repeatable:  yes; no data is changed
set -eu
delay=$(redis-cli --raw config get repl-diskless-sync-delay | tail -n 1)
redis-cli config set repl-diskless-sync-delay 0 >/dev/null
redis-cli --rdb - && ended=0 || ended=$?
redis-cli config set repl-diskless-sync-delay "$delay" >/dev/null
exit "$ended"
