#!/usr/bin/env bash
case "${SERVER_ROLE:-web}" in
  web) exec ./bin/run-web.sh ;;
  worker*) exec ./bin/run-worker.sh ;;
esac
echo "Unknown server role: $SERVER_ROLE" >&2
exit 1
