# SPDX-License-Identifier: Apache-2.0
"""HARDWARE.md keeps up with the code: every message that can come before the launch is on it, and its commands
are taken by QEMU."""
import glob
import os
import re
import shlex
import subprocess

import pytest
from conftest import TOP
from messages import NOTHING_STARTED

# Files whose messages come after the launch, or say themselves what to do.
ELSEWHERE = {f"arch/x86/{name}.c" for name in ("dump", "event", "guest", "panic", "system", "trap", "vcpu")} \
    | {"core/config_check.c"}

STRING = r'"((?:\\.|[^"\\])*)"'
PIECES = rf"(?:{STRING}|[A-Z][A-Z_]+)"
CALL = re.compile(rf"\blog_line\(((?:{PIECES}\s*)+)[,)]")
REFUSAL = re.compile(rf"\brefuse\(((?:{PIECES}\s*)+)\)")  # of arch/x86/init.c; others have a static of that name
REQUIREMENT = re.compile(rf"(?:NEEDS\(CAP_|\{{CAP_)[^\"]*?((?:{STRING}\s*)+)[)}}]")


def literal(code, text):
    """The value of a row of string literals and macros of the same file."""
    out = ""
    for piece in re.findall(rf"{STRING}|([A-Z][A-Z_]+)", code):
        macro = piece[1] and re.search(rf"#define\s+{piece[1]}\s+{STRING}", text)
        out += macro[1] if macro else piece[0]
    return out.replace('\\"', '"').replace("\\\\", "\\")


def messages():
    found = []
    for path in sorted(set(glob.glob("core/*.c", root_dir=TOP) + glob.glob("arch/x86/*.c", root_dir=TOP)) - ELSEWHERE):
        with open(os.path.join(TOP, path), encoding="utf-8") as file:
            text = file.read()
        calls = CALL.findall(text)
        calls += REFUSAL.findall(text) if path == "arch/x86/init.c" else []
        table = re.search(r" requirements\[\] = \{.*?\n\};", text, re.DOTALL)
        calls += REQUIREMENT.findall(table[0]) if table else []
        found += [(path, literal(call[0], text)) for call in calls]
    with open(os.path.join(TOP, "boot/start.S"), encoding="utf-8") as file:
        found += [("boot/start.S", text) for text in re.findall(r'\.asciz "mullion\| (.*?)\\r\\n"', file.read())]
    return found


def page():
    with open(os.path.join(TOP, "HARDWARE.md"), encoding="utf-8") as file:
        return file.read()


def test_every_message_before_the_launch_is_on_the_page():
    words = re.sub(r"\s+", " ", page())
    found = messages()
    assert len(found) > 60  # the search itself still works
    missing = []
    for path, text in found:
        pieces = re.split(r"(?:0x)?%[-0]?\d*(?:\.\*)?[lz]?[a-z]", text.replace("`", ""))
        if not re.search(".{0,60}?".join(map(re.escape, pieces)), words.replace("`", "")):
            missing.append(f"{path}: {text}")
    assert not missing, "\n".join(missing)


def commands():
    return [block.replace("\\\n", " ") for block in re.findall(r"```\n(qemu.*?)```", page(), re.DOTALL)]


@pytest.mark.parametrize("number", range(2))
def test_qemu_takes_the_command(number):
    """With TCG in KVM's place, which this machine may not have."""
    command = commands()[number]
    assert command.count("-accel kvm -cpu host") == 1
    words = shlex.split(command.replace("-accel kvm -cpu host", "-accel tcg -cpu max"))
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "timeout", "300", *words], cwd=TOP, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, errors="replace") as qemu:
        assert any(re.search(NOTHING_STARTED, line.rstrip()) for line in qemu.stdout)
        qemu.terminate()
