# SPDX-License-Identifier: Apache-2.0
"""A partition that goes wrong goes alone, and the machine ends as the config says."""
import re
import subprocess
import sys

import pytest
from conftest import PLAIN, TOP, partition
from messages import CRASHED, HYPERVISOR, JITTER_LINE, RESTARTED

# A way to end (guests/crash.c), what the dump must say about it, and what becomes of the partition.
DEATHS = {
    "triple": (r"(?i)triple fault", "stopped, crashed"),
    "nowhere": (r"(?i)fetch .*0xd0000000", "stopped, crashed"),
    "reset": (r"resets the partition", "stopped, at its reset"),
}


@pytest.fixture(scope="module")
def crashed(lab):
    """Three guests that have ended, each in its own way, beside one that has not."""
    parts = [partition(death, cpu, "crash.elf", cmdline=death) for cpu, death in enumerate(DEATHS)]
    parts.append(partition("steady", 3, "jitter.elf"))
    machine = lab.boot("crash", lab.image("crash", "".join(parts), ["jitter.elf", "crash.elf"]))
    for death, (_, end) in DEATHS.items():
        machine.wait_for(f"^crash: {death}$", death)
        machine.wait_for(rf"^{death}: {end}$", HYPERVISOR)
    return machine


@pytest.mark.parametrize("death", DEATHS)
def test_the_log_says_why(crashed, death):
    crashed.wait_for(rf"^{death}: vCPU 0 ", HYPERVISOR)
    crashed.wait_for(DEATHS[death][0], HYPERVISOR)


def test_V019_V027_V029_V075_M12_dump_shows_the_guest(crashed):
    for words in (r"\bRIP [0-9a-f]{16} RSP", r"\bRAX [0-9a-f]{16}", r"\bCR0 .*CR3 .*CR4",
                  r"CS .*base", r"GDTR [0-9a-f]{16} limit", r"IDTR [0-9a-f]{16} limit", r"exit 2 \(triple fault\), IDT vectoring", r"code at RIP: .*[0-9a-f]{2} [0-9a-f]{2}"):
        assert crashed.find(words, HYPERVISOR), words


def test_the_other_goes_on(crashed):
    mark = crashed.here()
    for _ in range(3):
        found = crashed.wait_for(JITTER_LINE, "steady", since=mark, timeout=60)
        mark = found.index + 1
    assert crashed.find(r"^steady: ", HYPERVISOR) is None


def test_what_a_guest_survives(lab):
    """Reads of nothing are all ones."""
    config = partition("read", 0, "crash.elf", cmdline="read")
    with lab.boot("survive", lab.image("survive", config, ["crash.elf"]), cpus=1) as machine:
        machine.wait_for(r"^crash: read 0xffffffff$", "read", timeout=60)
        machine.wait_for(r"^crash: survived read$", "read")
        assert machine.find(CRASHED) is None


def test_X05_X36_bad_access_stop(lab):
    """For those who want it strict: reads, string moves and ports, and an INS whose port alone is there."""
    ways = ["read", "screen", "port", "insb"]
    config = "".join(partition(way, cpu, "crash.elf", cmdline=way, bad_access="stop") for cpu, way in enumerate(ways))
    with lab.boot("strict", lab.image("strict", config, ["crash.elf"])) as machine:
        for way in ways:
            machine.wait_for(rf"^{way}: vCPU 0 on core \d: access to .*\(bad_access = stop\)$", HYPERVISOR, timeout=60)
            machine.wait_for(rf"^{way}: stopped, crashed$", HYPERVISOR)


def test_G10_restart(lab):
    """on_exit = restart: it crashes again and again, the other still goes on."""
    config = partition("steady", 1, "jitter.elf") + \
        partition("again", 0, "crash.elf", cmdline="triple", on_exit="restart")
    image = lab.image("restart", config, ["jitter.elf", "crash.elf"])
    with lab.boot("restart", image, cpus=2) as machine:
        machine.wait_for(r"^again: restart 3$", HYPERVISOR, timeout=60)
        machine.wait_for(JITTER_LINE, "steady", since=machine.here(), timeout=60)
        assert machine.find(RESTARTED).match[1] == "again"


def where_ept_root_is(machine):
    """Physical address of the variable that holds the root of the first partition's EPT."""
    loaded = int(machine.wait_for(r"loaded at 0x([0-9a-f]{8})$", HYPERVISOR, timeout=60).match[1], 16)
    names = subprocess.run(["nm", f"{TOP}/build/mullion.elf"], capture_output=True, text=True, check=True).stdout
    at = {name: int(address, 16) for address, _, name in (line.split() for line in names.splitlines())}
    return loaded + at["partitions"] - at["image_start"] + 16  # epts[0].root


def test_X37_damaged_tables_stop_their_partition_alone(lab):
    """Runs repeat: the first says where to look, the second shows the debugger the root, and in the third it
    makes the first entry one that may be written but not read, which is a misconfiguration."""
    config = partition("bad", 0, "crash.elf", cmdline="misconfig") + partition("steady", 1, "jitter.elf")
    image = lab.image("misconfig", config, ["jitter.elf", "crash.elf"], kernel=PLAIN)
    with lab.boot("misconfig-1", image, cpus=2) as machine:
        pointer = where_ept_root_is(machine)
    with lab.boot("misconfig-2", image, cpus=2, at_break=[f"xp /1gx {pointer:#x}"]) as machine:
        machine.wait_for(r"^crash: survived misconfig$", "bad", timeout=60)
        with open(f"{machine.directory}/stdout", encoding="ascii", errors="replace") as out:
            root = int(re.findall(r"^0x0*%x .*:\t0x([0-9a-f]+)" % pointer, out.read(), re.M)[0], 16)
    with lab.boot("misconfig-3", image, cpus=2, at_break=[f"setpmem {root:#x} 4 2"]) as machine:
        machine.wait_for(r"exit 49 \(EPT misconfiguration\)", HYPERVISOR, timeout=30)
        machine.wait_for(r"own table is damaged, on the way to guest-physical 0x[0-9a-f]+", HYPERVISOR)
        machine.wait_for(r"^bad: stopped, for good: the machine is damaged$", HYPERVISOR)
        machine.wait_for(JITTER_LINE, "steady", since=machine.here(), timeout=60)


@pytest.mark.parametrize("kernel, cmdline, status", [("hello.elf", "", 0),
                                                     ("crash.elf", "triple", 1)])
def test_make_run_ends_with_a_status(lab, kernel, cmdline, status):
    """when_done = poweroff, through run.py as `make run` does it."""
    name = f"status{status}"
    image = lab.image(name, "[system]\nwhen_done = poweroff\n" +
                      partition("only", 0, kernel, cmdline=cmdline), [kernel])
    done = subprocess.run([sys.executable, f"{TOP}/tests/rig/run.py", "--iso", image, "--cpus", "1",
                           "--emu", "bochs", "--directory", f"{lab.directory}/{name}"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400,
                          check=False)
    assert done.returncode == status, done.stdout + done.stderr
