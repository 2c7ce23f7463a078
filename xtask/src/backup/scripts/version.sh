#!/bin/sh
# Says the version of the application in this image.
#
# Output:      `version VERSION`; nothing where the image does not say
# Environment: the image's own: GLITCHTIP_VERSION, PG_VERSION, REDIS_VERSION
# Volumes:     none; Umami's package.json is in the image's working folder
# Repeatable:  yes; nothing is changed
version=${GLITCHTIP_VERSION:-${PG_VERSION:-${REDIS_VERSION:-$(sed -n 's/^  "version": "\(.*\)",*$/\1/p' package.json 2>/dev/null)}}}
[ -z "$version" ] || echo "version $version"
