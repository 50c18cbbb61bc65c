#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel from its first line to /init, in Bochs: how long it takes on one core without Mullion
and as its only partition, and what it exits for, by reason, on 1, 2 and 4 vCPUs in both modes of the APIC.
Time and exits are the emulator's account (tests/rig/witness.c)."""
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path += [os.path.join(TOP, "tests/rig"), os.path.join(TOP, "tests/system")]

from emulator import Machine  # noqa: E402
from iso import make_iso, make_linux_iso  # noqa: E402
from messages import LINUX_PROMPT, LINUX_UP  # noqa: E402

OUT = os.path.join(TOP, "build/bench")
KERNEL = os.path.join(TOP, "build/guests/linux/vmlinuz")
INITRD = os.path.join(TOP, "build/guests/linux/initrd.img")
CMDLINE = "console=ttyS0 earlyprintk=serial,0x3f8,115200 quiet cryptomgr.notests " \
    "clearcpuid=xsavec,xsaves"
CONFIG = """\
[partition linux]
cpus    = {cpus}
memory  = 384M
kernel  = vmlinuz
initrd  = initrd.img
cmdline = {cmdline}
console = vuart
"""
COLUMNS = [(cpus, apic) for cpus in (1, 2, 4) for apic in ("x2APIC", "xAPIC")]
FIRST_LINE = r"Linux version \d"
SECONDS = 300

EXITS = {0: "exception or NMI", 1: "external interrupt", 7: "interrupt window", 8: "NMI window",
         10: "CPUID", 12: "HLT", 18: "VMCALL", 28: "CR access", 30: "I/O", 31: "RDMSR",
         32: "WRMSR", 44: "APIC access", 48: "EPT violation", 52: "preemption timer",
         54: "WBINVD", 55: "XSETBV"}


def measure(name, image, cpus=1, any_msr=False):
    """(ticks, {reason: exits}) between the ends of two lines."""
    with Machine(image, os.path.join(OUT, name), cpus=cpus, memory=512, any_msr=any_msr) as run:
        run.wait_for(LINUX_PROMPT, timeout=SECONDS)
        first, last = (run.find(pattern).index for pattern in (FIRST_LINE, LINUX_UP))
        rows = run.witness()
    exits = {}
    for (cpu, reason), count in rows[last][1].items():
        exits[reason] = exits.get(reason, 0) + count - rows[first][1].get((cpu, reason), 0)
    return rows[last][0] - rows[first][0], exits


def measure_partition(cpus, apic):
    """As its only partition, on all cores of the machine."""
    name = f"{cpus}-{apic}"
    image = os.path.join(OUT, f"{name}.iso")
    config = CONFIG.format(cpus=",".join(str(cpu) for cpu in range(cpus)),
                           cmdline=CMDLINE + (" nox2apic" if apic == "xAPIC" else ""))
    make_iso(image, config, {"vmlinuz": KERNEL, "initrd.img": INITRD})
    return measure(name, image, cpus)


def table_row(name, values):
    print(f"  {name:18}" + "".join(f"{value:>11}" for value in values), flush=True)


def main():
    os.makedirs(OUT, exist_ok=True)
    native_iso = os.path.join(OUT, "native.iso")
    make_linux_iso(native_iso, KERNEL, INITRD, CMDLINE)
    native, _ = measure("native", native_iso, any_msr=True)
    print(f"without Mullion: {native / 1e6:.1f} M ticks to /init", flush=True)
    runs = [measure_partition(*column) for column in COLUMNS]
    under = runs[0][0]
    print(f"in a partition:  {under / 1e6:.1f} M ticks to /init, {100 * under / native - 100:+.1f} %")
    print("exits until /init, all vCPUs together:")
    table_row("vCPUs, APIC mode", [f"{cpus} {apic}" for cpus, apic in COLUMNS])
    table_row("million ticks", [f"{ticks / 1e6:.1f}" for ticks, _ in runs])
    table_row("all exits", [sum(exits.values()) for _, exits in runs])
    for reason in sorted({reason for _, exits in runs for reason in exits}):
        counts = [exits.get(reason, 0) for _, exits in runs]
        if any(counts):
            table_row(EXITS.get(reason, f"reason {reason}"), counts)


if __name__ == "__main__":
    main()
