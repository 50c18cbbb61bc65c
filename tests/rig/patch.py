# SPDX-License-Identifier: Apache-2.0
"""Faults of our own, made by changing the machine code of the built image, and of the firmware, by that of
Bochs's BIOS."""
import functools
import os
import re
import struct
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ELF = os.path.join(TOP, "build/mullion.elf")
BIOS = "/usr/share/bochs/BIOS-bochs-latest"

PROLOGUE = bytes.fromhex("554889e5")  # push rbp; mov rbp, rsp: what a backtrace needs


@functools.lru_cache
def symbols(elf=ELF):
    """name -> address"""
    done = subprocess.run(["nm", elf], capture_output=True, text=True, check=True)
    return {line.split()[2]: int(line.split()[0], 16) for line in done.stdout.splitlines()}


def patch(out, symbol, change, elf=ELF):
    """The image with what change(code) makes of the code from a symbol on."""
    headers = subprocess.run(["readelf", "-lW", elf], capture_output=True, text=True, check=True)
    text = next(line.split() for line in headers.stdout.splitlines() if line.split()[:1] == ["LOAD"])
    at = symbols(elf)[symbol] - int(text[2], 16) + int(text[1], 16)
    with open(elf, "rb") as file:
        image = file.read()
    changed = change(image[at:])
    assert len(changed) == len(image) - at
    with open(out, "wb") as file:
        file.write(image[:at] + changed)
    return out


def patch_bios(out, *changes):
    """The BIOS with `new` for `old`, which it has once, in each of the changes; returns the line for the emulator's
    configuration."""
    with open(BIOS, "rb") as file:
        bios = file.read()
    for old, new in changes:
        assert bios.count(old) == 1 and len(new) == len(old)
        bios = bios.replace(old, new)
    with open(out, "wb") as file:
        file.write(bios)
    return f"romimage: file={out}"


def instruction(old, new, within=1 << 20):
    """A change of the first place where `old` stands."""
    def change(code):
        at = code.index(old, 0, within)
        return code[:at] + new + code[at + len(old):]
    return change


def vmwrites_forgotten(field):
    """A change that makes every VMWRITE of a field one of the page-fault error-code match, which does
    not matter: each `mov r32, field` loads the number of that one. The field stays 0."""
    def change(code):
        return re.sub(rb"([\xb8-\xbf])" + re.escape(field.to_bytes(4, "little")),
                      rb"\g<1>" + (0x4008).to_bytes(4, "little"), code)
    return change


def relocation(lowest, highest, preference):
    """A change of the multiboot2 header's relocatable tag: where GRUB may load the image (1: low, 2: high)."""
    def change(code):
        tag = struct.pack("<HHI", 10, 0, 24)
        at = code.index(tag, 0, 4096) + len(tag)
        align = code[at + 8:at + 12]
        return code[:at] + struct.pack("<II", lowest, highest) + align + struct.pack("<I", preference) + code[at + 16:]
    return change
