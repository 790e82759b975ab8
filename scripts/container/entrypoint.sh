#!/bin/sh
# Entry point of the images: runs the program with the container's arguments, `serve` by default.
set -eu
here=$(dirname "$(readlink -f "$0")")
tr '\n' ' ' < "$here/VERSION" >&2
echo >&2
exec node "$here/dist/cli.js" "$@"
