#!/usr/bin/env bash
export LOG_LEVEL="${LOG_LEVEL:-INFO}"
exec ./manage.py serve
