#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel from its first line to /init, in Bochs: how long it takes on one core without Mullion
and as its only partition, and what it exits for, by reason, on 1, 2 and 4 vCPUs in both modes of the APIC.
Time and exits are the emulator's account (tests/rig/witness.c)."""
import linux
from exits import reason_name
from linux import table_row
from messages import LINUX_PROMPT, LINUX_UP

COLUMNS = [(cpus, apic) for cpus in (1, 2, 4) for apic in ("x2APIC", "xAPIC")]
EARLY = "earlyprintk=serial,0x3f8,115200"
FIRST_LINE = r"Linux version \d"
SECONDS = 300


def measure(name, cpus=1, where="mullion", cmdline=""):
    """(ticks, {reason: exits}) between the ends of two lines."""
    with linux.boot(name, "initrd.img", cpus, where, f"{EARLY} {cmdline}") as run:
        run.wait_for(LINUX_PROMPT, timeout=SECONDS)
        first, last = (run.find(pattern).index for pattern in (FIRST_LINE, LINUX_UP))
        rows = run.witness()
    exits = {}
    for (cpu, reason), count in rows[last][1].items():
        exits[reason] = exits.get(reason, 0) + count - rows[first][1].get((cpu, reason), 0)
    return rows[last][0] - rows[first][0], exits


def main():
    native, _ = measure("boot-native", where="native")
    print(f"without Mullion: {native / 1e6:.1f} M ticks to /init", flush=True)
    runs = [measure(f"boot-{cpus}-{apic}", cpus, cmdline="nox2apic" if apic == "xAPIC" else "")
            for cpus, apic in COLUMNS]
    under = runs[0][0]
    print(f"in a partition:  {under / 1e6:.1f} M ticks to /init, {100 * under / native - 100:+.1f} %")
    print("exits until /init, all vCPUs together:")
    table_row("vCPUs, APIC mode", [f"{cpus} {apic}" for cpus, apic in COLUMNS])
    table_row("million ticks", [f"{ticks / 1e6:.1f}" for ticks, _ in runs])
    table_row("all exits", [sum(exits.values()) for _, exits in runs])
    for reason in sorted({reason for _, exits in runs for reason in exits}):
        counts = [exits.get(reason, 0) for _, exits in runs]
        if any(counts):
            table_row(reason_name(reason), counts)


if __name__ == "__main__":
    main()
