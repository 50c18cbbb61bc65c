#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fetch.sh CACHE PACKAGE MEMBER OUT: write the one file of a Debian package whose path matches the
# pattern MEMBER to OUT. The package is kept in CACHE and fetched only if it is not there; no root.
set -eu
cache=$1 package=$2 member=$3 out=$4

# A metapackage stands for what it depends on: linux-image-cloud-amd64 -> linux-image-6.1.0-56-...
resolve() {
    real=$(apt-cache depends "$1" | sed -n 's/^  Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    echo "${real:-$1}"
}

mkdir -p "$cache/$package" "$(dirname "$out")"
deb=$(find "$cache/$package" -maxdepth 1 -name '*.deb' | sort | tail -n 1)
if [ -z "$deb" ]; then
    part=$(mktemp -d "$cache/part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    real=$(resolve "$package")
    if ! (cd "$part" && apt-get -q download "$real"); then
        echo "fetch.sh: cannot download $real (is apt's index there? apt-get update);" \
             "or put its .deb into $cache/$package/" >&2
        exit 1
    fi
    mv "$part"/*.deb "$cache/$package/"
    deb=$(find "$cache/$package" -maxdepth 1 -name '*.deb' | sort | tail -n 1)
fi
dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards "$member" > "$out.part"
[ -s "$out.part" ] || { echo "fetch.sh: no $member in $deb" >&2; exit 1; }
mv "$out.part" "$out"
