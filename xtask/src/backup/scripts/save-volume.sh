#!/bin/sh
# Saves the files of a volume as they are.
#
# Arguments:   `at-work` where the volume may be written to meanwhile
# Output:      a tar of the volume
# Volumes:     the one to save at /volume, which may be read-only
# Repeatable:  yes; nothing is changed
set -eu
ended=0
tar -cf - --numeric-owner -C /volume . || ended=$?
# 1 is what GNU tar says when a file changed or went while it was read. BusyBox tar says it of real errors
# too, so that the caller must look at what came.
[ "$ended" -eq 0 ] || { [ "$ended" -eq 1 ] && [ "${1:-}" = at-work ]; }
