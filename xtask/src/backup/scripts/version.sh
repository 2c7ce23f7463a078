# Prints the version of what is in this image.
version=${GLITCHTIP_VERSION:-${PG_VERSION:-${REDIS_VERSION:-$(sed -n 's/^  "version": "\(.*\)",*$/\1/p' package.json 2>/dev/null)}}}
[ -z "$version" ] || echo "version $version"
