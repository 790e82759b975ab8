#!/bin/sh
# Creates the user of an image and the folders that this user writes to.
#
#   add-user.sh [ROOT]     ROOT: root folder to change instead of /
#
# Base images may have a user with the id 1000; that user is deleted.
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
# On some hosts GPU devices belong to this group.
if grep -q '^video:' "$group"; then in_root usermod --append --groups video inference; fi
# The folder stays empty: with a models folder in it the server would select it although another data folder is mounted.
mkdir -p "$root/data"
chown 1000:1000 "$root/data"
