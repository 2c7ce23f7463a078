#!/bin/sh
# Unpacks the uploads of a backup beside those in use, for settle.sh.
#
# Input:       uploads.tar of the backup
# Volumes:     GlitchTip's uploads at /uploads; the restored ones go to /uploads/.restore/new
# Repeatable:  yes; what an earlier run left is replaced
set -eu
rm -rf /uploads/.restore
mkdir -p /uploads/.restore/new
tar -xf - --numeric-owner -C /uploads/.restore/new
