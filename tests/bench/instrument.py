# SPDX-License-Identifier: Apache-2.0
"""The bench guest (guests/bench) and what its rows say: run in a partition, natively, and read wherever it
runs. Ticks are Bochs' TSC, which counts instructions, so that a run repeats exactly; exits, VMREADs and VMWRITEs
are the emulator's account (tests/rig/witness.c)."""
import os
import re
import sys
from typing import NamedTuple

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(TOP, "tests/rig"))

from emulator import VMREADS, VMWRITES, Machine  # noqa: E402
from iso import make_iso, make_multiboot_iso  # noqa: E402

OUT = os.path.join(TOP, "build/bench")
ELF = os.path.join(TOP, "build/guests/bench.elf")
RECORDED = os.path.join(TOP, "tests/bench/recorded.txt")
MEMORY = 128  # MiB that the guest wants
SECONDS = 120
CONFIG = """\
[partition bench]
cpus    = {cpus}
memory  = {memory}M
kernel  = bench.elf
cmdline = {cmdline}
console = vuart
"""

# What a row may cost at most, in ticks. Of what KVM handles in the kernel a tenth of KVM's, mitigations at their
# default (rows.py kvm); of the ports, for which it goes to its user, what is in reach.
BARS = {"cpuid-0": 110, "cpuid-1": 110, "cpuid-7": 130, "cpuid-40000000": 134, "rdmsr": 126, "wrmsr": 133,
        "vmcall": 114, "mov-cr0": 130, "xsetbv": 110, "out-unclaimed": 130, "out-uart": 400, "ipi-send": 300}

# What may cost no more than natively.
FREE = ["mov-cr3", "invlpg", "touch-4k", "touch-2m", "x2apic-eoi", "x2apic-tpr", "self-ipi", "deadline-arm",
        "hlt-wake", "late-spinning", "late-halted"]


class Row(NamedTuple):
    """One turn of a row; exits and the like are None where nobody counted."""
    ticks: float
    exits: float | None = None
    vmreads: float | None = None
    vmwrites: float | None = None


def cmdline(cpus, rows=None):
    """The guest's: all rows for that many CPUs, or those named."""
    return " ".join([f"cpus={cpus}", *(f"only={row}" for row in rows or [])])


def machines(rows=None):
    """What to boot for these rows, [(number of CPUs, the rows there)]: IPIs need two, and Bochs' ticks are
    exact with one."""
    both = [(cpus, None if rows is None else [row for row in rows if row.startswith("ipi-") == (cpus == 2)])
            for cpus in (1, 2)]
    return [(cpus, some) for cpus, some in both if some != []]


def read(machine, name=None):
    """Waits until the guest has measured: {row: Row}. A row that the machine cannot do is not in it."""
    machine.wait_for(r"^bench: done, \d+ rows$", name, timeout=SECONDS)
    lines = machine.lines(name)
    bad = [line for line in lines if re.match(r"bench: \S+ failed$", line)]
    if bad:
        raise RuntimeError(f"{machine.directory}: {bad[0]}")
    found = [re.match(r"bench: (\S+) ticks ([\d.]+) turns (\d+) exits (\d+|n/a)$", line) for line in lines]
    measured = [match.groups() for match in found if match]
    marks = machine.marks()
    return {row: _row(float(ticks), int(turns), said, *marks[2 * number:2 * number + 2])
            for number, (row, ticks, turns, said) in enumerate(measured)}


def _row(ticks, turns, said, begin=None, end=None):
    if end is None:
        return Row(ticks)
    rise = {key: count - begin.counts.get(key, 0) for key, count in end.counts.items()}
    exits, vmreads, vmwrites = (sum(count for (_, reason), count in rise.items() if wanted(reason)) / turns
                                for wanted in (lambda reason: reason < VMREADS, VMREADS.__eq__, VMWRITES.__eq__))
    return Row(ticks, exits, vmreads, vmwrites)


def measure_ours(rows=None, kernel=None, name="ours"):
    """In the only partition of a machine. kernel: path of another mullion.elf."""
    os.makedirs(OUT, exist_ok=True)
    result = {}
    for cpus, some in machines(rows):
        place = os.path.join(OUT, f"{name}-{cpus}")
        config = CONFIG.format(cpus="0" if cpus == 1 else f"0-{cpus - 1}", memory=MEMORY, cmdline=cmdline(cpus, some))
        make_iso(f"{place}.iso", config, {"bench.elf": ELF}, kernel=kernel)
        with Machine(f"{place}.iso", place, cpus=cpus, memory=2 * MEMORY) as machine:
            result |= read(machine, "bench")
    return result


def measure_native(rows=None):
    """Without a hypervisor."""
    os.makedirs(OUT, exist_ok=True)
    result = {}
    for cpus, some in machines(rows):
        place = os.path.join(OUT, f"native-{cpus}")
        make_multiboot_iso(f"{place}.iso", ELF, cmdline(cpus, some))
        with Machine(f"{place}.iso", place, cpus=cpus, memory=2 * MEMORY) as machine:
            result |= read(machine)
    return result


# ---- What was recorded: tests/bench/recorded.txt -----------------------------------------------------------
def recorded():
    """{row: Row}"""
    with open(RECORDED, encoding="utf-8") as file:
        lines = [line.split() for line in file if not line.startswith("#")]
    return {row: Row(*map(float, figures)) for row, *figures in lines}


def record(rows):
    """Write them anew."""
    with open(RECORDED, "w", encoding="utf-8") as file:
        file.write("# SPDX-License-Identifier: Apache-2.0\n"
                   "# What a turn of each row of guests/bench costs a partition in Bochs' default model here, written by\n"
                   "# `make bench-record`: ticks, VM exits, VMREADs, VMWRITEs.\n")
        for row, figures in rows.items():
            file.write(f"{row:18}" + "".join(f"{figure:10.1f}" for figure in figures) + "\n")


# ---- Verdicts ----------------------------------------------------------------------------------------------
FREE_PERCENT = 1


def slower(ticks, than, percent):
    """By more than so many percent, and by more than a tick."""
    return ticks - than > max(than * percent / 100, 1)


def over(row, ticks, native=None):
    """Does it cost more than it may? native: the same without a hypervisor, None = not known."""
    return ticks > BARS.get(row, ticks) or (
        row in FREE and native is not None and slower(ticks, native, FREE_PERCENT))
