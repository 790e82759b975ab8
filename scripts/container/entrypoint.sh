#!/bin/sh
# Starts the program of an image: what stands behind the image's name are its arguments, `serve` by default.
set -eu
here=$(dirname "$0")
tr '\n' ' ' < "$here/VERSION" >&2
echo >&2
exec node "$here/dist/cli.js" "$@"
