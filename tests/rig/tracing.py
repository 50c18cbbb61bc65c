# SPDX-License-Identifier: Apache-2.0
"""Reads what tests/rig/trace.c wrote of a run, and the symbols and instructions of the image it ran."""
import bisect
import os
import re
import subprocess
from typing import NamedTuple

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IMAGE = os.path.join(TOP, "build/mullion.elf")
IMAGE_VIRT = 0xffffffff80000000  # boot/layout.h
ENTRY = "start32"
NS_PER_TICK = 20  # as emulator.TICKS_PER_SECOND


def _lines(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


class Image:
    """The hypervisor's ELF; all places are offsets from its beginning."""

    def __init__(self, path=IMAGE):
        self.path = path
        rows = [line.split() for line in _lines("nm", "-n", path)]
        self.symbols = {row[2]: int(row[0], 16) - IMAGE_VIRT for row in rows if len(row) == 3}
        self._at = sorted((offset, name) for name, offset in self.symbols.items())

    def where(self, offset):
        """"function+0x12", or of data, "variable+0x12"."""
        at, name = self._at[bisect.bisect(self._at, (offset, "~")) - 1]
        return f"{name}+{offset - at:#x}"

    def instructions(self):
        """{offset: text}"""
        found = {}
        for line in _lines("objdump", "-d", "--no-show-raw-insn", self.path):
            match = re.match(r"([0-9a-f]+):\s+(.*)", line.strip())
            if match:
                found[int(match[1], 16) - IMAGE_VIRT] = match[2]
        return found


class Path(NamedTuple):
    """What was seen between one kind of VM exit and the entries after it."""
    code: set    # offsets of the instructions executed
    lines: dict  # physical address of a cache line -> (mask of CPUs that read it, of CPUs that wrote it)
    regs: dict   # offset -> masks of the general registers that were not 0 there


class Trace:
    """A run that ended and was traced: Machine(..., trace=...)."""

    def __init__(self, directory):
        self.marks = {}  # (cpu, offset) -> ticks since reset
        self.paths = {}  # (exit reason, port of an I/O instruction or 0) -> Path
        with open(os.path.join(directory, "trace"), encoding="ascii") as file:
            for kind, *fields in map(str.split, file):
                if kind == "mark":
                    self.marks[int(fields[0]), int(fields[1], 16)] = int(fields[2]) // NS_PER_TICK
                    continue
                path = self.paths.setdefault((int(fields[0]), int(fields[1])), Path(set(), {}, {}))
                if kind == "code":
                    path.code.add(int(fields[2], 16))
                elif kind == "regs":
                    path.regs.setdefault(int(fields[2], 16), set()).add(int(fields[3], 16))
                else:
                    path.lines[int(fields[2], 16)] = int(fields[3], 16), int(fields[4], 16)
