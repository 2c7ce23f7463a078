# Prints the version of the application in this image.
version=${GLITCHTIP_VERSION:-$(sed -n 's/^  "version": "\(.*\)",*$/\1/p' package.json 2>/dev/null)}
[ -z "$version" ] || echo "version $version"
