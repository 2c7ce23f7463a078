#!/bin/sh
# Takes the restored files of a folder into use: what is in FOLDER/.restore/new takes the place of all else
# in FOLDER. Called by settle.sh and settle-files.sh.
#
# Arguments:   FOLDER; without restored files it stays as it is
# Volumes:     the one at FOLDER; nobody else may use it
# Repeatable:  yes, also when it was killed
set -eu
cd "$1"
[ -d .restore/new ] || { rm -rf .restore; exit 0; }
if [ ! -e .restore/emptied ]; then
  find . -mindepth 1 -maxdepth 1 ! -name .restore ! -name lost+found -exec rm -rf {} +
  touch .restore/emptied
fi
find .restore/new -mindepth 1 -maxdepth 1 -exec mv {} . \;
# A volume that nobody used before belongs to root.
chown "$(stat -c %u:%g .restore/new)" .
chmod "$(stat -c %a .restore/new)" .
# From here on there is nothing more to do in this folder.
rmdir .restore/new
sync
rm -rf .restore
