#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`nm -n` on standard input -> assembly of the symbol table the hypervisor carries.

Only functions, each as its distance from image_start, because the image runs wherever GRUB puts
it, and its name; behind the last one all ones. No input gives an empty table, for the first of the two links.
"""
import sys


def read_functions(lines):
    """[(offset, name)] in address order, one name an address."""
    rows = [line.split() for line in lines]
    rows = [(int(row[0], 16), row[1], row[2]) for row in rows if len(row) == 3]
    base = next((at for at, _, name in rows if name == "image_start"), None)
    if rows and base is None:
        sys.exit("symbols.py: no symbol image_start in the input")
    found = {}
    for at, kind, name in rows:
        if kind in "tT" and not name.startswith(".") and 0 <= at - base < 2**32:
            found.setdefault(at - base, name)
    return sorted(found.items())


def main():
    functions = read_functions(sys.stdin)
    out = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        "/* Made by tests/rig/symbols.py. */",
        '.section .rodata.symbols, "a", @progbits',
        ".globl symbols",
        "symbols:",
        *(f'.long {offset:#x}; .asciz "{name}"' for offset, name in functions),
        ".long 0xffffffff",
        '.section .note.GNU-stack, "", @progbits',
    ]
    print("\n".join(out))


if __name__ == "__main__":
    main()
