#!/bin/sh
# Says what the application in this image knows: its version and its migrations.
#
# Output:      that of version.sh, and `migration NAME` for each migration
# Environment: that of version.sh
# Volumes:     none
# Repeatable:  yes; nothing is changed
sh "${0%/*}/version.sh"
find / -xdev -path '*/migrations/*' ! -path '*/__pycache__/*' 2>/dev/null |
  sed 's|.*/migrations/\([^/]*\).*|\1|; s|\.[a-z]*$||; s|^|migration |' | sort -u
