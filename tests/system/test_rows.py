# SPDX-License-Identifier: Apache-2.0
"""guests/rows: every row of the VMX surface, asked from inside a partition of two vCPUs. It runs all tests that
return, then dies in one way after another; after each restart its state is that of RESET again."""
import glob
import os
import re

import pytest
from conftest import PLAIN, TOP, partition
from messages import HYPERVISOR

MODELS = ["corei7_ivy_bridge_3770k", "corei7_haswell_4770", "corei7_skylake_x", "corei7_icelake_u", "tigerlake"]


# Expectations that a guest may call absent. X40: Bochs 2.7 offers the control on its newest models only, and its
# VM entry tests bits 2 and 22 of that word, never 27: what the hypervisor does with the exit is not seen here.
ABSENT = {"X40 trace: steps 50 instructions"}


def expected_names():
    """What the sources promise to say."""
    text = "".join(open(path, encoding="utf-8").read()
                   for path in sorted(glob.glob(os.path.join(TOP, "guests/rows/*.c"))))
    return set(re.findall(r'EXPECT\(\s*"([^"]+)"', text))


@pytest.fixture(scope="module", params=MODELS)
def rows(lab, request):
    """The whole run on one model."""
    config = "[system]\nwhen_done = poweroff\n" + partition("rows", "0-1", "rows.elf", on_exit="restart",
                                                       ports="0x2f8-0x2ff")
    name = f"rows-{request.param}"
    with lab.boot(name, lab.image(name, config, ["rows.elf"], kernel=PLAIN), cpus=2, model=request.param) as machine:
        machine.wait_for(r"^rows: all done$|^guest: .*unexpected", "rows", timeout=120)
        assert not machine.find(r"^guest: .*unexpected", "rows"), machine.tail(60)
        machine.wait_for_end()
        yield machine


def test_every_expectation_holds(rows):
    failed = [line for line in rows.lines("rows") if line.startswith("FAIL ")]
    assert not failed, "\n".join(failed)
    held = {line[3:] for line in rows.lines("rows") if line.startswith("ok ")}
    absent = {line[len("absent "):] for line in rows.lines("rows") if line.startswith("absent ")}
    assert absent <= ABSENT, absent
    assert not absent or 37 not in rows.exits(), "the emulator did step: X40 can be tested now"
    missing = expected_names() - held - absent
    assert not missing, "\n".join(sorted(missing))
    done = rows.find(r"^done: (\d+) ok, 0 failed$", "rows")
    assert done, "the first run did not come to its end"


def test_every_death_is_told(rows):
    """Between `dies:` and the next start the log has the words, and then a restart."""
    lines = rows.console.lines
    deaths = [i for i, line in enumerate(lines) if line.text.startswith("dies: ")]
    assert len(deaths) >= 10
    for count, index in enumerate(deaths, 1):
        words = lines[index].text[len("dies: "):]
        end = next(i for i, line in enumerate(lines[index:], index) if line.text == f"rows: restart {count}")
        told = [line.text for line in lines[index:end] if line.name == HYPERVISOR]
        assert any(words in text for text in told), (words, told)


def test_K13_power_off_leaves_vmx(rows):
    """The emulator's last words have each core's CR4: in VMX operation VMXE could not be 0."""
    with open(os.path.join(rows.directory, "bochs.log"), encoding="utf-8", errors="replace") as log:
        last = re.findall(r"\[CPU(\d) *\] \|.* CR4=0x([0-9a-f]+)", log.read())[-2:]
    assert [cpu for cpu, _ in last] == ["0", "1"], last
    assert all(int(cr4, 16) & 0x2000 == 0 for _, cr4 in last), last


# Exits whose controls are off, or that only an error of ours could cause.
NEVER = {1: "external interrupt", 3: "INIT", 4: "SIPI", 5: "I/O SMI", 6: "SMI", 12: "HLT", 14: "INVLPG",
         16: "RDTSC", 29: "MOV DR", 40: "PAUSE", 46: "GDTR, IDTR", 47: "LDTR, TR", 49: "EPT misconfiguration",
         51: "RDTSCP", 57: "RDRAND", 58: "INVPCID", 61: "RDSEED", 67: "UMWAIT", 68: "TPAUSE"}


def test_X02_X07_X12_X14_X34_X35_X38_X44_X45_X47_Y01_Y02_Y05_Y11_never_exit(rows):
    """The guest has used these instructions and taken interrupts; the emulator saw no exit of theirs."""
    seen = rows.exits()
    assert seen[10] > 100  # it did count
    assert not {name for reason, name in NEVER.items() if seen.get(reason)}


def test_X16_write_reaches_the_console(rows):
    assert rows.find(r"^hello$", "rows")
