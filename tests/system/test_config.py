# SPDX-License-Identifier: Apache-2.0
"""Configs that are wrong: every mistake is listed with its line, nothing starts."""
import re
import subprocess
import textwrap

import pytest
from conftest import TOP
from messages import HYPERVISOR, NO_CONFIG, NOTHING_STARTED

BROKEN = {
    "cores": ("""\
        [partition a]
        cpus = 1-9
        memory = 16M
        kernel = jitter.elf
        console = vuart

        [partition b]
        cpus = 1
        memory = 900G
        kernel = jitter.elf
        """, [(2, "this machine has cores 0-3, not cores 4-9"), (8, "shared with partition a"), (9, "this machine has")]),
    "keys": ("""\
        [system]
        consle = com1
        [partition a]
        cpus = 1
        memory = lots
        kernel = jitter.elf
        """, [(2, "consle"), (5, "lots")]),
    "modules": ("""\
        [partition a]
        cpus = 1
        memory = 16M
        kernel = nothere.elf
        [partition b]
        cpus = 2
        memory = 16M
        kernel = jitter.elf
        ports = 0x3f8-0x3ff
        """, [(4, "no such module"), (9, "console")]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_mistakes_are_listed(lab, name):
    config, expected = BROKEN[name]
    image = lab.image(name, textwrap.dedent(config), ["jitter.elf"])
    with lab.boot(name, image, cpus=4) as machine:
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)
        for line, words in expected:
            assert machine.find(rf"^mullion\.conf:{line}: .*{re.escape(words)}", HYPERVISOR), \
                machine.tail()
        machine.close()
        listed = [line for line in machine.lines(HYPERVISOR) if "mullion.conf:" in line]
        assert len(listed) == len(expected), listed
        assert machine.lines("a") == machine.lines("b") == []
        assert machine.exits() == {}


@pytest.mark.parametrize("name", BROKEN)
def test_desk_says_the_same(lab, name, tmp_path):
    config, expected = BROKEN[name]
    (tmp_path / "mullion.conf").write_text(textwrap.dedent(config))
    done = subprocess.run([f"{TOP}/build/confcheck", "mullion.conf", "cpus=4", "memory=500M",
                           "modules=jitter.elf"], cwd=tmp_path, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1
    for line, words in expected:
        assert any(text.startswith(f"mullion.conf:{line}: ") and words in text
                   for text in done.stdout.split("\n")), done.stdout


def test_console_that_is_not_there(lab):
    config = "[system]\nconsole = com4\n[partition a]\ncpus = 9\nmemory = 16M\nkernel = jitter.elf\n"
    image = lab.image("com4", config, ["jitter.elf"])
    with lab.boot("com4", image, cpus=1) as machine:
        machine.wait_for(r"^console: no UART at port 0x2e8$", HYPERVISOR)
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)  # the one before stays


def test_no_config_at_all(lab):
    image = lab.image("none", None, ["jitter.elf"])
    with lab.boot("none", image, cpus=1) as machine:
        machine.wait_for(NO_CONFIG, HYPERVISOR)
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)
