#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Do cores that exit at the same time slow each other down? guests/scale.c, a partition for each of seven
cores: what one exit costs while 1, 2, 4 and 7 of them exit over and over. The others spin in their guests: time
in Bochs passes by the busiest CPU of each round, so only runs with the same number of busy CPUs compare.

Bochs has no caches: that nobody waits for a lock shows in the ticks, that nobody shares a cache line does not.
So the emulator's account of the path (tests/rig/trace.c) is looked at too: no cache line that one core writes
between an exit and the entry after it is touched by another core there, and no instruction has a LOCK prefix.
The same with the vCPUs of one partition."""
import os
import re
import sys
from collections import defaultdict

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path += [os.path.join(TOP, "tests/rig")]

from emulator import Machine  # noqa: E402
from iso import make_iso  # noqa: E402
from tracing import ENTRY, Image, Trace  # noqa: E402

OUT = os.path.join(TOP, "build/bench")
GUEST = os.path.join(TOP, "build/guests/scale.elf")
APART = [[cpu] for cpu in range(1, 8)]  # cores of each partition; core 0 has none
TOGETHER = [[1, 2, 3, 4]]
STEPS = (1, 2, 4, 7)
TIMES = 500                             # exits in each figure of the guest
ROWS = {"cpuid": (10, 0), "rdmsr": (31, 0), "wrmsr": (32, 0), "out": (30, 0x3a), "cr0": (28, 0),
        "vmcall": (18, 0)}              # exit reason, port
LINE = r"^scale: begin (\d+) cpu (\d+) (\w+) busy (\d) ticks (\d+)$"
SECONDS = 600
STUB, HANDLER = "vmx_exit_entry", "vmx_exit"  # where an exit leads to, and the first C behind it


def config(partitions, steps, phase):
    text, first = "", 0
    for index, cores in enumerate(partitions):
        text += f"[partition p{index}]\ncpus = {','.join(map(str, cores))}\nmemory = 4M\n" \
            "kernel = scale.elf\nconsole = vuart\n" \
            f"cmdline = first={first} busy={','.join(map(str, steps))} phase={phase}\n"
        first += len(cores)
    return text


def run(directory, partitions, steps, phase=0):
    """({row: {busy: [ticks of one exit, by CPU]}}, Trace), or None where the partitions did not agree when the
    first slot is: each looks at the clock by itself."""
    iso = directory + ".iso"
    make_iso(iso, config(partitions, steps, phase), {"scale.elf": GUEST})
    symbols = Image().symbols
    with Machine(iso, directory, cpus=8, memory=512, trace=[symbols[ENTRY]],
                 regs_at=[symbols[name] for name in (STUB, HANDLER)]) as machine:
        for index in range(len(partitions)):
            machine.wait_for(r"^scale: done$", f"p{index}", timeout=SECONDS)
        found = [re.match(LINE, line) for line in machine.lines()]
    ticks, begins = defaultdict(lambda: defaultdict(list)), set()
    for begin, _, row, busy, spent in (match.groups() for match in found if match):
        ticks[row][int(busy)].append(int(spent) / TIMES)
        begins.add(begin)
    return (ticks, Trace(directory)) if len(begins) == 1 else None


def measure(directory, partitions, steps):
    return run(directory, partitions, steps) or run(directory, partitions, steps, phase=1 << 21)


def shared_lines(path):
    """[(address, readers, writers)] of the cache lines that one core wrote and another one touched."""
    return [(at, readers, writers) for at, (readers, writers) in sorted(path.lines.items())
            if writers != 0 and ((readers | writers) & ~writers or writers & (writers - 1))]


def locked(path, instructions):
    """[(offset, text)] of what has a LOCK prefix or, as XCHG with memory, needs none."""
    return [(at, instructions.get(at, "?")) for at in sorted(path.code)
            if re.match(r"lock |xchg.*\(", instructions.get(at, "lock ?"))]


def main():
    os.makedirs(OUT, exist_ok=True)
    image = Image()
    instructions = image.instructions()
    ticks, apart = measure(os.path.join(OUT, "scale-apart"), APART, STEPS)
    _, together = measure(os.path.join(OUT, "scale-together"), TOGETHER, (1, 4))
    print("ticks of one exit, the slowest core's, while so many cores do nothing else:")
    print("  " + "".join(f"{text:>10}" for text in ("", *STEPS, "7 to 1")))
    for row in ROWS:
        slowest = [max(ticks[row][busy]) for busy in STEPS]
        print(f"  {row:>10}" + "".join(f"{spent:10.1f}" for spent in slowest) +
              f"{slowest[-1] / slowest[0]:10.3f}")
    print("between an exit and the next entry, cores of 7 partitions / 4 vCPUs of one:")
    for row, key in ROWS.items():
        shared = [shared_lines(trace.paths[key]) for trace in (apart, together)]
        locks = locked(apart.paths[key], instructions) + locked(together.paths[key], instructions)
        print(f"  {row:>10}: {len(apart.paths[key].code)} instructions, {len(locks)} locked; "
              f"{len(apart.paths[key].lines)} / {len(together.paths[key].lines)} cache lines, "
              f"{len(shared[0])} / {len(shared[1])} written by one and touched by another")
        for at, readers, writers in shared[0] + shared[1]:
            print(f"      line {at:#x}: read by {readers:#x}, written by {writers:#x}")
        for at, text in locks:
            print(f"      {image.where(at)}: {text}")


if __name__ == "__main__":
    main()
