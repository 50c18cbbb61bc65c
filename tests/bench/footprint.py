#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How much the hypervisor is: its image by section and by source file, and the memory it keeps for itself, by
core, by partition and by GiB of guest RAM, from what it says at launch on machines of different shapes.

Beside it the images of others as they load them, without symbols and debug information. Built for size are
Jailhouse and NOVA, for speed ACRN and Xen. Jailhouse and NOVA leave to others what is most of ours: Linux
starts the one and reads its tables and configs, a user-space program is the other's loader and virtual machine
monitor."""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path += [os.path.join(TOP, "tests/rig"), os.path.join(TOP, "tests/system")]

from emulator import Machine  # noqa: E402
from iso import make_iso  # noqa: E402
from messages import LAUNCHED  # noqa: E402

OUT = os.path.join(TOP, "build/bench")
IMAGE = os.path.join(TOP, "build/mullion.elf")
GUEST = os.path.join(TOP, "build/guests/hello.elf")
OTHERS = {"Jailhouse": 88_072, "NOVA": 90_000, "Hedron": 96_752, "ACRN": 363_840, "Xen": 2_980_000}
BIGGEST = 12
NO_GIB_PAGES = "corei7_ivy_bridge_3770k"


def sections(*files):
    """[(file, section, bytes)]"""
    name, found = "", []
    text = subprocess.run(["size", "-A", *files], capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        row = line.split()
        if line.endswith(":") and len(row) == 2:
            name = row[0]
        elif len(row) == 3 and row[0].startswith("."):
            found.append((name, row[0], int(row[1])))
    return found


def objects():
    return [os.path.join(path, name) for path, _, names in os.walk(os.path.join(TOP, "build/hv"))
            for name in names if name.endswith(".o")]


def kept(cores, partitions, mib, model=None):
    """KiB that the hypervisor has taken at launch; a partition of `mib` on each of the first cores."""
    config = "".join(f"[partition p{i}]\ncpus = {i}\nmemory = {mib}M\nkernel = hello.elf\n"
                     for i in range(partitions))
    directory = os.path.join(OUT, "footprint")
    make_iso(directory + ".iso", config, {"hello.elf": GUEST})
    with Machine(directory + ".iso", directory, cpus=cores, memory=2048, model=model) as machine:
        return int(machine.wait_for(LAUNCHED, timeout=300).match[1])


def print_image():
    loaded = {section: size for _, section, size in sections(IMAGE) if not section.startswith(".debug")}
    parts = sections(*objects())
    code = sum(size for _, section, size in parts if section.startswith(".text"))
    const = sum(size for _, section, size in parts if section.startswith(".rodata"))
    total = loaded[".text"] + loaded[".rodata"] + loaded[".data"]
    print(f"image: {total:,} bytes loaded (.text {loaded['.text']:,}, .rodata {loaded['.rodata']:,}, .data "
          f"{loaded['.data']:,}, in whole pages); .bss {loaded['.bss']:,}")
    print(f"of it code {code:,}, constants and strings {const:,}, names of functions and what fills pages "
          f"{total - code - const:,}")
    for name, size in OTHERS.items():
        print(f"  {name:10} {size:>9,}  {total / size:6.2f} of it")
    by_file = {}
    for file, section, size in parts:
        if section.startswith((".text", ".rodata")):
            file = os.path.relpath(file, os.path.join(TOP, "build/hv"))[:-len(".o")]
            by_file[file] = by_file.get(file, 0) + size
    biggest = sorted(by_file.items(), key=lambda item: -item[1])[:BIGGEST]
    print("most of it: " + ", ".join(f"{file} {size:,}" for file, size in biggest))


def print_memory():
    bss = next(size for _, section, size in sections(IMAGE) if section == ".bss")
    one, four, each = kept(1, 1, 64), kept(4, 1, 64), kept(4, 4, 64)
    print(f"memory: {one} KiB on one core with one partition of 64 MiB; of it {bss >> 10} KiB are the image's "
          ".bss")
    print(f"  each further core {(four - one) / 3:.0f} KiB, each further partition {(each - four) / 3:.0f} KiB")
    for name, model in (("1 GiB", None), ("2 MiB", NO_GIB_PAGES)):
        small, big = kept(1, 1, 64, model), kept(1, 1, 64 + 1024, model)
        print(f"  each GiB of guest RAM, with pages up to {name}: {big - small} KiB, EPT and the host's own "
              "tables together")


def main():
    os.makedirs(OUT, exist_ok=True)
    print_image()
    print_memory()


if __name__ == "__main__":
    main()
