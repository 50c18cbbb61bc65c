#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# packages.sh LIST STEP...: install the Debian packages of these steps that are missing, and see to
# it that apt knows those of step "fetch", which are unpacked, not installed. Plain shell: on a
# fresh machine there is nothing else yet.
set -eu

list=$1
shift

names() { # STEP
    awk -v step="$1" '!/^#/ && $2 == step { print $1 }' "$list"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

can_be_root() { # what a person would have to type
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        printf 'Debian packages are missing. Please run:\n    %s\n' "$1" >&2
        exit 1
    fi
}

update() {
    can_be_root "sudo apt-get update"
    as_root apt-get update -q > /dev/null || true
}

install() { # PACKAGE...
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o Dpkg::Use-Pty=0 "$@" > "$log" 2>&1
}

exec 9< "$list" # two steps at once would fight over apt's own lock
flock 9

log=$(mktemp)
trap 'rm -f "$log"' EXIT
missing=
for step in "$@"; do
    if [ "$step" = fetch ]; then
        # shellcheck disable=SC2046 # names are single words
        apt-cache show $(names fetch) > /dev/null 2>&1 || update
        continue
    fi
    # shellcheck disable=SC2046
    missing="$missing $(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $(names "$step") \
        2> /dev/null | awk '$2 == "installed" { print $1 }' > "$log"
        names "$step" | grep -vxFf "$log" | tr '\n' ' ')"
done
missing=$(echo "$missing" | xargs)
[ -n "$missing" ] || exit 0

can_be_root "sudo apt-get install --no-install-recommends $missing"
echo "Installing the missing Debian packages: $missing"
# A fresh machine has no package lists, an old one lists that name files long gone.
# shellcheck disable=SC2086 # names are single words
if ! install $missing; then
    update
    install $missing || { cat "$log" >&2; exit 1; }
fi
