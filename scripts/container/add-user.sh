#!/bin/sh
# Makes the user that an image runs as, and the folders it writes to.
#
#   add-user.sh [ROOT]     ROOT: a folder to do it in instead of /
#
# Base images have users with the id 1000 of their own; theirs go.
set -eu
root=${1:-}
in_root() {
  command=$1
  shift
  if [ -n "$root" ]; then "$command" --prefix "$root" "$@"; else "$command" "$@"; fi
}
passwd=$root/etc/passwd
group=$root/etc/group
old=$(awk -F: '$3 == 1000 { print $1 }' "$passwd")
if [ -n "$old" ]; then in_root userdel "$old"; fi
old=$(awk -F: '$3 == 1000 { print $1 }' "$group")
if [ -n "$old" ]; then in_root groupdel "$old"; fi
in_root groupadd --gid 1000 inference
in_root useradd --uid 1000 --gid 1000 --no-create-home --home-dir /app --shell /usr/sbin/nologin inference
# Devices of GPUs belong to this group on some hosts.
if grep -q '^video:' "$group"; then in_root usermod --append --groups video inference; fi
# Empty: with a folder of models in it it would be taken for the data folder where another is mounted.
mkdir -p "$root/data"
chown 1000:1000 "$root/data"
