# SPDX-License-Identifier: Apache-2.0
"""The rig itself, without an emulator: what it makes of console bytes, and that the house rules
notice when they are broken."""
import os
import shutil
import subprocess
import sys

import pytest
from conftest import TOP
from console import Console, Line


def lines_of(*pieces):
    console = Console()
    for piece in pieces:
        console.feed(piece)
    return console.all()


def test_lines_belong_to_their_partition():
    assert lines_of(b"mullion| ready\r\nlinux| a | b\r\n") == [
        Line("mullion", "ready"), Line("linux", "a | b"), Line(None, "")]


def test_line_arrives_in_pieces():
    assert lines_of(b"lin", b"ux| o", b"ne\r", b"\nlinux| tw")[:2] == [
        Line("linux", "one"), Line("linux", "tw")]


def test_erased_line_counts_once():
    seen = lines_of(b"linux| linux# \r\x1b[Kjitter| tick\r\nlinux| linux# ec")
    assert seen == [Line("jitter", "tick"), Line("linux", "linux# ec")]


def test_what_firmware_and_grub_leave_in_front_is_dropped():
    assert lines_of(b"\x1b[2J\x1b[01;01H\x1b[=3h\r\x1b[0mmullion| up\r\n")[0] == Line("mullion", "up")


def test_line_without_prefix_has_no_name():
    assert lines_of(b"[    0.0] Linux version\r\n")[0] == Line(None, "[    0.0] Linux version")


HOUSE_BREAKS = [
    ("core/bad.c", "no SPDX line", None),
    ("core/bad.c", "may not include", '#include "arch/x86/cpu.h"\n'),
    ("core/bad.c", "may not include", "#include <stdio.h>\n"),
    ("core/bad.c", "inline assembly", 'void f(void) {\n    asm("hlt");\n}\n'),
    ("core/bad.c", "a variant by the preprocessor", "#ifdef DEBUG\nint x;\n#endif\n"),
    ("core/bad.c", "function of 61 lines", "void f(void) {\n" + "    f();\n" * 61 + "}\n"),
    ("core/bad.c", "451 lines without tables", "int x;\n" * 450),
    ("core/bad.c", "unfinished", "/* TODO: more */\n"),
    ("core/bad.h", "no #pragma once", "int x;\n"),
    ("core/bad.c", "no _Static_assert on the size of struct row",
     "struct row {\n    int x;\n} __attribute__((packed));\n"),
    ("arch/x86/bad.c", "inline assembly", 'void f(void) {\n    __asm__ volatile("hlt");\n}\n'),
    ("drivers/bad.c", "may not include", '#include "arch/x86/vmcs.h"\n'),
    ("core/bad.c", "its own header", '#include "core/err.h"\n#include "core/bad.h"\n'),
]
HOUSE_KEEPS = [
    ("core/good.c", "int x;\n" * 400 + "int t[] = {\n" + "    1,\n" * 100 + "};\n"),
    ("core/good.c", 'const char *a = "asm in a string"; /* asm in a comment */\n'),
    ("arch/x86/cpu.h", '#pragma once\nasm("");\n'),
    ("drivers/good.c", '#include "arch/x86/cpu.h"\n#include "core/err.h"\n'),
]


def run_house(tree, path, text):
    """house.py in an otherwise empty tree that holds this one file."""
    os.makedirs(tree / "tests/rig")
    shutil.copy(os.path.join(TOP, "tests/rig/house.py"), tree / "tests/rig")
    os.makedirs((tree / path).parent)
    spdx = "" if text is None else "/* SPDX-License-Identifier: Apache-2.0 */\n"
    (tree / path).write_text(spdx + (text or "int x;\n"))
    return subprocess.run([sys.executable, tree / "tests/rig/house.py"], capture_output=True,
                          text=True, check=False)


@pytest.mark.parametrize("path, complaint, text", HOUSE_BREAKS)
def test_house_notices(tmp_path, path, complaint, text):
    done = run_house(tmp_path, path, text)
    assert done.returncode == 1
    assert complaint in done.stdout


@pytest.mark.parametrize("path, text", HOUSE_KEEPS)
def test_house_allows(tmp_path, path, text):
    done = run_house(tmp_path, path, text)
    assert done.returncode == 0, done.stdout


def test_house_notices_what_core_calls(tmp_path):
    source = tmp_path / "c.c"
    source.write_text("int puts(const char *);\nvoid host_panic(void);\nvoid f(void);\n"
                      "void f(void)\n{\n    puts(\"\");\n    host_panic();\n}\n")
    subprocess.run(["gcc", "-ffreestanding", "-c", source, "-o", tmp_path / "c.o"], check=True)
    done = subprocess.run([sys.executable, os.path.join(TOP, "tests/rig/house.py"),
                           tmp_path / "c.o"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs puts from outside" in done.stdout
    assert "host_panic" not in done.stdout


def test_symbols_are_functions_by_distance_from_the_image():
    nm = ("0000000000100000 T image_start\n0000000000100010 t first\n"
          "0000000000100020 r not_a_function\n0000000000100030 T second\n")
    done = subprocess.run([sys.executable, os.path.join(TOP, "tests/rig/symbols.py")], input=nm,
                          capture_output=True, text=True, check=True)
    assert '.long 0x0; .asciz "image_start"\n.long 0x10; .asciz "first"\n.long 0x30; .asciz "second"\n' \
        ".long 0xffffffff\n" in done.stdout
    assert "not_a_function" not in done.stdout
