# SPDX-License-Identifier: Apache-2.0
"""The floor: what a CPUID costs a guest of the shortest hypervisor that does its job (tests/bench/floor)."""
import os

import instrument
from instrument import OUT, TOP
from emulator import Machine
from iso import make_multiboot_iso

ELF = os.path.join(TOP, "build/bench/floor.elf")


def measure(rows=None, handler="c"):
    """Its rows of those asked for, None = all: {row: ticks}. handler: c or asm."""
    os.makedirs(OUT, exist_ok=True)
    place = os.path.join(OUT, f"floor-{handler}")
    make_multiboot_iso(f"{place}.iso", ELF, handler)
    with Machine(f"{place}.iso", place, cpus=1, memory=2 * instrument.MEMORY) as machine:
        return {row: it.ticks for row, it in instrument.read(machine).items() if rows is None or row in rows}
