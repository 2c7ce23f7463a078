#!/usr/bin/env bash
export IS_WORKER=true LOG_LEVEL="${LOG_LEVEL:-INFO}"
exec ./manage.py runworker --scheduler
