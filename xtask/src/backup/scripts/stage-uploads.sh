# Unpacks the uploads on stdin beside those in use.
set -eu
rm -rf /uploads/.restore
mkdir -p /uploads/.restore/new
tar -xf - --numeric-owner -C /uploads/.restore/new
