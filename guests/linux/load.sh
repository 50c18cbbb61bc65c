#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# load.sh ROUNDS: processes, pipes and files as in a build. What it works on it makes itself, so that it does
# the same work on every machine.
rounds=$1

files() {
    mkdir -p tree/1 tree/2 tree/3
    for i in $(seq 60); do
        echo "line $i of a file" > "tree/$((i % 3 + 1))/$i"
    done
    find tree -type f -name '*[02468]' | sort -r | xargs cat | sha256sum
    tar -c tree | gzip -1 | gunzip | tar -t | wc -l
    rm -r tree
}

numbers() {
    seq 3000 | awk '{ print $1 * 7919 % 10007 }' | sort -n | uniq | sed 's/^/n /' | md5sum
    head -c 400000 /bin/busybox | gzip -1 | sha256sum
}

storm() {
    for _ in $(seq 20); do
        (:)
        true | true
        /bin/true
    done
}

for _ in $(seq "$rounds"); do
    files &
    numbers &
    storm
    wait
done > /dev/null
