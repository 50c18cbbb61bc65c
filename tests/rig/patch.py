# SPDX-License-Identifier: Apache-2.0
"""Faults of our own, made by changing the machine code of the built image."""
import os
import re
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ELF = os.path.join(TOP, "build/mullion.elf")

PROLOGUE = bytes.fromhex("554889e5")  # push rbp; mov rbp, rsp: what a backtrace needs


def patch(out, symbol, change, elf=ELF):
    """The image with what change(code) makes of the code from a symbol on."""
    symbols = dict(reversed(line.split()[0::2]) for line in subprocess.run(
        ["nm", elf], capture_output=True, text=True, check=True).stdout.splitlines())
    headers = subprocess.run(["readelf", "-lW", elf], capture_output=True, text=True, check=True)
    text = next(line.split() for line in headers.stdout.splitlines() if line.split()[:1] == ["LOAD"])
    at = int(symbols[symbol], 16) - int(text[2], 16) + int(text[1], 16)
    with open(elf, "rb") as file:
        image = file.read()
    changed = change(image[at:])
    assert len(changed) == len(image) - at
    with open(out, "wb") as file:
        file.write(image[:at] + changed)
    return out


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
