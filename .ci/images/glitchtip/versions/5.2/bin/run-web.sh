#!/usr/bin/env bash
exec ./bin/run-uwsgi.sh
