#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long Debian's kernel takes from its first line to /init, in Bochs on one core: without Mullion
and as its only partition. Time and exits are the emulator's account (tests/rig/witness.c)."""
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
CONFIG = f"""\
[partition linux]
cpus    = 0
memory  = 384M
kernel  = vmlinuz
initrd  = initrd.img
cmdline = {CMDLINE}
console = vuart
"""
FIRST_LINE = r"Linux version \d"
SECONDS = 180

EXITS = {0: "exception or NMI", 1: "external interrupt", 7: "interrupt window", 8: "NMI window",
         10: "CPUID", 12: "HLT", 18: "VMCALL", 28: "CR access", 30: "I/O", 31: "RDMSR",
         32: "WRMSR", 44: "APIC access", 48: "EPT violation", 52: "preemption timer",
         54: "WBINVD", 55: "XSETBV"}


def measure(name, image):
    """(ticks, {reason: exits}) between the ends of two lines."""
    with Machine(image, os.path.join(OUT, name), cpus=1, memory=512, any_msr=name == "native") as run:
        run.wait_for(LINUX_PROMPT, timeout=SECONDS)
        first, last = (run.find(pattern).index for pattern in (FIRST_LINE, LINUX_UP))
        rows = run.witness()
    exits = {}
    for (cpu, reason), count in rows[last][1].items():
        exits[reason] = exits.get(reason, 0) + count - rows[first][1].get((cpu, reason), 0)
    return rows[last][0] - rows[first][0], exits


def main():
    os.makedirs(OUT, exist_ok=True)
    native_iso, mullion_iso = os.path.join(OUT, "native.iso"), os.path.join(OUT, "mullion.iso")
    make_linux_iso(native_iso, KERNEL, INITRD, CMDLINE)
    native, _ = measure("native", native_iso)
    print(f"without Mullion: {native / 1e6:.1f} M ticks to /init", flush=True)
    make_iso(mullion_iso, CONFIG, {"vmlinuz": KERNEL, "initrd.img": INITRD})
    under, exits = measure("mullion", mullion_iso)
    print(f"in a partition:  {under / 1e6:.1f} M ticks to /init, {100 * under / native - 100:+.1f} %, "
          f"{sum(exits.values())} exits")
    for reason, count in sorted(exits.items(), key=lambda item: -item[1]):
        if count:
            print(f"  {count:8} {EXITS.get(reason, f'reason {reason}')}")


if __name__ == "__main__":
    main()
