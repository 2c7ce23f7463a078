#!/bin/sh
set -e
./manage.py migrate --skip-checks
./manage.py pgpartition --yes
