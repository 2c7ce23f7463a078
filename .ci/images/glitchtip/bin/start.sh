#!/bin/sh
case "${SERVER_ROLE:-web}" in
  web) exec ./manage.py serve ;;
  worker*) exec ./bin/run-worker.sh ;;
esac
echo "Unknown server role: $SERVER_ROLE" >&2
exit 1
