#!/usr/bin/env bash
export IS_CELERY=true
exec python -m celery --app glitchtip beat --loglevel info --schedule /tmp/celerybeat-schedule --pidfile=
