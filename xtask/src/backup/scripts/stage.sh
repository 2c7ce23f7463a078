# Restores into databases beside those in use.
cd "$PGDATA"
tar -xf -
restore _restore
