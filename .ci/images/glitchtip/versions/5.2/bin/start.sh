#!/usr/bin/env bash
case "${SERVER_ROLE:-web}" in
  web) exec ./bin/run-web.sh ;;
  worker) exec ./bin/run-celery.sh ;;
  beat) exec ./bin/run-beat.sh ;;
  worker_with_beat) exec ./bin/run-celery-with-beat.sh ;;
esac
echo "Unknown server role: $SERVER_ROLE" >&2
exit 1
