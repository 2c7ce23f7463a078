#!/bin/sh
# Unpacks the scripts at the head of stdin and becomes one of them.
#
# Arguments:   how many blocks of 512 bytes the scripts take, the script, and the script's own arguments
# Input:       a tar of scripts, then whatever the script reads
# Output:      the script's
# Volumes:     none; the scripts go to a temporary folder
# Repeatable:  as the script
set -eu
scripts=$(mktemp -d)
# dd takes not a byte more than the tar, so that the rest is left for the script.
dd bs=512 count="$1" iflag=fullblock 2>/dev/null | tar -xf - -C "$scripts"
script=$2
shift 2
exec sh "$scripts/$script" "$@"
