# SPDX-License-Identifier: Apache-2.0
"""guests/hostile does its worst on the boot core and another one, beside guests/witness, which checks what is its own,
and beside Linux. Nothing gets through and nothing stops but the partition that asks for it."""
import re

import pytest
from conftest import LINUX_CMDLINE, PLAIN, Shell, partition
from messages import HYPERVISOR, LINUX_PROMPT

FOCUS = b"\x1d"
THIN = 128  # of the largest sweeps one access in so many: all would take an hour of CPU time

# What a class tries with THIN, and how much of that the hypervisor refuses: all but what is there in every partition.
CLASSES = {
    "below-4g": (2 * 32 + 2 * (2**32 - 2**22) // (4096 * THIN), 0.99), "above-4g": (2 * (60 * 512 // THIN + 60), 1), "apic-pages": (2 * 7 * 32, 0.9),
    "self-modifying": (10000, 0), "ports-in": (3 * 2**16, 0.999), "ports-out": (3 * 2**16, 0.999),
    "ports-string": (6 * 2**16 // THIN, 0.99), "string-buffers": (256, 1), "string-endless": (1, 1),
    "msrs": (2 * 4 * 2**13 + 32, 0.99), "cpuid": (7 * 256 * 16 + 20000, 0), "control-bits": (4760, 0),
    "instructions": (690, 0), "storms": (120000, 0), "hypercalls": (2 * (2**16 + 10000 - 2), 0),
    "apic-base": (9816, 0.3), "xapic-icr": (6 * 512 - 54, 0), "xapic-storm": (2 * (50000 // THIN), 0), "lvts": (14400, 0.1),
    "x2apic-icr": (20 * 512 - 150 + 32, 0), "x2apic-storm": (2 * (50000 // THIN), 0), "x2apic-registers": (16320, 0.8),
    "race-ipi": (2000, 0), "race-tables": (1000, 0), "race-code": (2000, 0), "race-start": (5000, 0),
    "race-modes": (10000, 0), "race-devices": (3000, 0),
}
RACES = [name for name in CLASSES if name.startswith("race")]  # these count what both vCPUs do, and who is faster

LINE = re.compile(r"^hostile: (\S+) tried (\d+) faults (\d+) refused (\d+) exits (\d+) from (\d+) to (\d+)$")
WITNESS = re.compile(r"^witness: (\d+) from (\d+) to (\d+) units \d+ ticks (\d+) (\d+) (\d+) late (\d+) exits (\d+) "
                     r"said (\d+) faults (\d+) (\d+) (\d+) (\d+) (\d+) heard (.*)$")


def classes(machine):
    """{name: (tried, faults, refused, exits, begin, end)}"""
    found = [LINE.match(line) for line in machine.lines("hostile")]
    return {match[1]: tuple(map(int, match.groups()[1:])) for match in found if match}


def periods(machine):
    """What the witness said, but for what it heard: [[number, begin, end, min, average, max, late, ...]]."""
    lines = [line for line in machine.lines("witness") if line]
    found = [WITNESS.match(line) for line in lines]
    assert all(found), lines
    return [list(map(int, match.groups()[:-1])) for match in found]


def check_witness(machine):
    """It has missed nothing, found nothing changed, and never entered the hypervisor while it worked."""
    said = periods(machine)
    assert [period[0] for period in said] == list(range(1, len(said) + 1)), "it did not go on"
    assert not [period for period in said if any(period[9:])], "what is its own was not as it had left it"
    assert machine.find("^witness: .* dropped", HYPERVISOR) is None
    assert machine.find("PANIC", HYPERVISOR) is None
    return said


@pytest.fixture(scope="module", name="attacked")
def fixture_attacked(lab):
    """All there is, in one boot of four cores, until the hostile partition has nothing more to try."""
    config = partition("hostile", "0-1", "hostile.elf", memory="4M", on_exit="restart", cmdline=f"thin={THIN}") + \
        partition("witness", 2, "witness.elf", memory="4M") + \
        partition("linux", 3, "vmlinuz", memory="256M", initrd="initrd.img", cmdline=LINUX_CMDLINE)
    image = lab.image("attacked", config, ["hostile.elf", "witness.elf", "vmlinuz", "initrd.img"], kernel=PLAIN)
    with lab.boot("attacked", image, cpus=4) as machine:
        machine.wait_for("^hostile: stopped|PANIC", HYPERVISOR, timeout=900)
        machine.wait_for(f"^witness: {periods(machine)[-1][0] + 2} ", "witness")
        yield machine


def test_neighbour_did_not_notice(attacked):
    assert len(check_witness(attacked)) > 50
    assert not [line for line in attacked.lines("hostile") if line.startswith("FAIL")]


def test_all_was_tried(attacked):
    done = classes(attacked)
    assert not CLASSES.keys() - done.keys()
    for name, (tried, refused) in CLASSES.items():
        assert done[name][0] >= tried if name in RACES else done[name][0] == tried, (name, done[name])
        assert done[name][2] >= refused * tried, (name, done[name])


def test_hypervisor_has_counted_it(attacked):
    """Its own sums at the end are no less than what the guest saw of them on one vCPU."""
    told = attacked.find(r"^hostile: (\d+) exits; refused or absent: (\d+) MSR accesses, (\d+) ports, (\d+) memory",
                         HYPERVISOR)
    exits, *refused = map(int, told.match.groups())
    done = classes(attacked).values()
    assert exits >= sum(row[3] for row in done)
    assert sum(refused) >= sum(row[2] for row in done)
    assert refused[0] >= 0.99 * CLASSES["msrs"][0] and refused[1] >= 0.99 * 6 * 2**16
    told = [line for line in attacked.lines(HYPERVISOR) if "where nothing is (said once" in line]
    assert 1 <= len(told) <= 2, told  # of each vCPU, however often


def test_each_death_is_its_own(attacked):
    """Between its announcement and the next start the log has the words."""
    lines = attacked.console.lines
    deaths = [(at, re.match(r"^hostile: (\S+) dies: (.*)$", line.text)) for at, line in enumerate(lines)]
    deaths = [(at, match) for at, match in deaths if match]
    assert len(deaths) >= 41 and not attacked.find("came back$", "hostile")
    for count, (at, match) in enumerate(deaths, 1):
        end = next(i for i in range(at, len(lines)) if lines[i].text == f"hostile: restart {count}")
        told = [i for i in range(at, end) if lines[i].name == HYPERVISOR and re.search(match[2], lines[i].text)]
        assert told, (match[1], lines[at:end])
        if match[1] == "v8086":  # it was there when it died
            dump = "\n".join(line.text for line in lines[told[0]:])
            assert int(re.search(r"RFLAGS ([0-9a-f]+)", dump)[1], 16) & 1 << 17


def test_exits_cost_a_neighbour_nothing(attacked):
    """Ticks of its work while both hostile vCPUs exit for one reason all the time, against while they spin."""
    said = periods(attacked)
    busy = {name: row for name, row in classes(attacked).items() if name.startswith("busy-")}
    cost = {}
    for name, (*_, exits, begin, end) in busy.items():
        inside = [period for period in said if begin <= period[1] and period[2] <= end]
        assert inside, (name, "no period of the witness was within")
        cost[name] = max(period[5] for period in inside)
        assert name == "busy-spin" or exits * 10**6 > 200 * (end - begin), (name, exits)
    assert len(cost) == 11 and max(cost.values()) <= 1.01 * cost["busy-spin"], cost


def test_linux_did_not_notice(attacked):
    attacked.send(FOCUS * 2)
    attacked.wait_for(LINUX_PROMPT, "linux", timeout=300)
    shell = Shell(attacked)
    assert shell.run("echo $((6 * 7))") == ["42"]
    assert shell.run("dmesg | grep -E 'WARNING: CPU|BUG|Oops|lockup|stall|Call Trace|NMI received'") == []


def test_flood_leaves_the_console_to_others(lab):
    """Three vCPUs of two partitions say as much as they can: another one still gets its lines out whole, and hears
    what is typed within two of its periods."""
    config = partition("flood", "0-1", "flood.elf") + partition("more", 3, "flood.elf") + \
        partition("witness", 2, "witness.elf", memory="4M")
    image = lab.image("flood", config, ["flood.elf", "witness.elf"], kernel=PLAIN)
    with lab.boot("flood", image, cpus=4) as machine:
        machine.wait_for("^witness: 3 ", "witness")
        machine.wait_for("more: .* dropped$", HYPERVISOR)
        machine.send(FOCUS * 2 + b"xyz")
        focus = machine.wait_for("^input goes to witness$", HYPERVISOR)
        heard = machine.wait_for("heard xyz$", "witness", since=focus.index)
        between = [line for line in machine.console.lines[focus.index:heard.index] if line.name == "witness"]
        assert len(between) <= 2, between
        machine.send(FOCUS + b"q")
        machine.wait_for("^flood: stopped", HYPERVISOR)
        said = check_witness(machine)
        assert max(period[8] for period in said) < 20000  # ticks of an exit of the witness' that speaks
