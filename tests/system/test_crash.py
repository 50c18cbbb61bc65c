# SPDX-License-Identifier: Apache-2.0
"""A partition that goes wrong goes alone, and the machine ends as the config says."""
import subprocess
import sys

import pytest
from conftest import TOP
from messages import HYPERVISOR, JITTER_LINE, PARTITION_FAILED

JITTER = "[partition steady]\ncpus = 1\nmemory = 16M\nkernel = jitter.elf\nconsole = vuart\n"
CRASH = "[partition crash]\ncpus = 0\nmemory = 16M\nkernel = crash.elf\nconsole = vuart\n"


@pytest.fixture(scope="module")
def crashed(lab):
    """One guest that has crashed beside one that has not."""
    machine = lab.boot("crash", lab.image("crash", JITTER + CRASH, ["jitter.elf", "crash.elf"]),
                       cpus=2)
    machine.wait_for(PARTITION_FAILED, HYPERVISOR, timeout=120)
    return machine


def test_dump_names_the_partition_and_shows_registers(crashed):
    crashed.wait_for(r"\bcrash\b", HYPERVISOR)
    crashed.wait_for(r"(?i)\brip\b", HYPERVISOR)
    crashed.wait_for(r"(?i)triple fault", HYPERVISOR)


def test_the_other_goes_on(crashed):
    mark = crashed.here()
    for _ in range(3):
        found = crashed.wait_for(JITTER_LINE, "steady", since=mark, timeout=120)
        mark = found.index + 1


def test_power_goes_off_and_the_run_says_that_it_failed(lab):
    """Through run.py, as `make run` does it."""
    image = lab.image("off", "[system]\nwhen_done = poweroff\n" + CRASH, ["crash.elf"])
    done = subprocess.run([sys.executable, f"{TOP}/tests/rig/run.py", "--iso", image, "--cpus", "1",
                           "--emu", "bochs", "--directory", f"{lab.directory}/off"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200,
                          check=False)
    assert done.returncode == 1, done.stdout + done.stderr


def test_restart(lab):
    """on_exit = restart: it crashes again and again, the other still goes on."""
    image = lab.image("again", JITTER + CRASH + "on_exit = restart\n", ["jitter.elf", "crash.elf"])
    with lab.boot("again", image, cpus=2) as machine:
        machine.wait_for(r"crash: restart 3", HYPERVISOR, timeout=120)
        machine.wait_for(JITTER_LINE, "steady", since=machine.here(), timeout=120)
