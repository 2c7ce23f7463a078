# Prints the names of the migrations that this image knows.
find / -xdev -path '*/migrations/*' ! -path '*/__pycache__/*' 2>/dev/null |
  sed 's|.*/migrations/\([^/]*\).*|\1|; s|\.[a-z]*$||; s|^|migration |' | sort -u
