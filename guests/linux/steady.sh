#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /init of a Linux that is measured (tests/bench/linux_steady.py, tests/system/test_steady.py): idle, busy, at
# work and talking, each between two marks for the emulator's witness. The kernel's command line sets IDLE and
# BUSY, in seconds, LOAD, in rounds, and TALK, in KiB. Nothing is typed, so that a run repeats exactly.
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev 2>/dev/null
/bin/busybox --install -s /bin
export PATH=/bin
cd /tmp || exit

# Until the clock says so. Only the shell's own commands, most of them without the kernel.
spin() {
    read -r now _ < /proc/uptime
    end=$((${now%.*} + $1))
    while [ "${now%.*}" -lt "$end" ]; do
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            for _ in 1 2 3 4 5 6 7 8 9 10; do
                i=$((i + 1))
            done
        done
        read -r now _ < /proc/uptime
    done
}

cpus=$(nproc)
yes "a console has to show lines, and most of them are of this size." | head -n $((TALK * 16)) > text
echo "steady: Linux $(uname -r) on $cpus CPU(s)"
sleep 2
mark 1 "$IDLE" 2
for _ in $(seq 2 "$cpus"); do
    spin $((BUSY + 2)) &
done
sleep 0.5
mark 3
spin $((BUSY + 1))
mark 4
wait
mark 5
load "$LOAD"
mark 6
sleep 1
mark 7
cat text > /dev/console
sleep $((TALK / 8 + 1)) # 115200 baud are 11 KiB a second
mark 8
echo "steady: done"
while true; do
    sleep 1000
done
