#!/bin/sh
# The worker's name in 5.x, which 6.x keeps.
exec ./bin/run-worker.sh
