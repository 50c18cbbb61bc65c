#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# initrd.sh BUSYBOX INIT OUT [NAME=FILE]...: a root file system of two files and a link, and of those that
# are named. The same input gives the same bytes: sorted names, fixed owner, times and inodes.
set -eu
busybox=$1 init=$2 out=$3
shift 3
root=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$root"' EXIT

mkdir "$root/bin"
install -m 755 "$busybox" "$root/bin/busybox"
install -m 755 "$init" "$root/init"
ln -s busybox "$root/bin/sh"
for file; do
    install -D -m 755 "${file#*=}" "$root/${file%%=*}"
done
find "$root" -type d -exec chmod 755 {} +
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) |
    gzip -n -9 > "$out.part"
mv "$out.part" "$out"
