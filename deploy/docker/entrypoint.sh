#!/bin/sh
# A secret is a file, never an environment variable of the container: NAME_FILE=/run/secrets/x becomes NAME for the program alone.
set -eu
for file in DATABASE_URL_FILE QUEUE_URL_FILE MIRROR_URL_FILE; do
  eval "path=\${$file:-}"
  [ -n "$path" ] || continue
  value=$(cat "$path")
  export "${file%_FILE}=$value"
  unset "$file"
done
exec "$@"
