#!/usr/bin/env bash
export IS_CELERY=true
exec python -m celery --app glitchtip worker --loglevel info
