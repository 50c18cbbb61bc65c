# SPDX-License-Identifier: Apache-2.0
"""Machines that cannot run Mullion: it says what is missing, by name, and starts nothing."""
import pytest
from conftest import partition
from messages import (FREE_MEMORY, HYPERVISOR, JITTER_LINE, MISSING, NO_EPT, NO_INTEL, NO_ROOM, NO_UNRESTRICTED_GUEST,
                      NO_VMX, NO_X2APIC, NOTHING_STARTED, TABLES_DO_NOT_FIT)


@pytest.fixture(scope="module")
def image(lab):
    return lab.image("refusal", partition("p", 0, "jitter.elf"), ["jitter.elf"])


@pytest.mark.parametrize("model, missing", [
    ("p4_prescott_celeron_336", NO_VMX),
    ("core2_penryn_t9600", NO_EPT),
    ("corei5_lynnfield_750", NO_UNRESTRICTED_GUEST),
    ("corei7_sandy_bridge_2600k", NO_X2APIC),
    ("ryzen", NO_INTEL),
])
def test_what_is_missing_is_named(lab, image, model, missing):
    with lab.boot(model, image, model=model, cpus=1) as machine:
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)
        assert machine.find(MISSING + f".*{missing}", HYPERVISOR), machine.tail()
        machine.close()
        assert machine.lines("p") == []
        assert machine.exits() == {}


def test_oldest_machine_that_runs(lab, image):
    with lab.boot("oldest", image, model="corei7_ivy_bridge_3770k", cpus=1) as machine:
        machine.wait_for(JITTER_LINE, "p", timeout=60)
        assert machine.find(MISSING) is None


def four_that_take(lab, name, megabytes):
    """Boots four partitions that have so much memory in all; until nothing was started."""
    config = "".join(partition(f"p{n}", n, "flat.bin", memory="2M", load="reset") for n in range(3)) + \
        partition("p3", 3, "flat.bin", memory=f"{megabytes - 6}M", load="reset")
    with lab.boot(name, lab.image(name, config, ["flat.bin"]), cpus=4, memory=64) as machine:
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)
        machine.close()
        assert machine.exits() == {}
        assert [line for n in range(4) for line in machine.lines(f"p{n}")] == []
        return machine


def test_memory_to_the_last_page(lab):
    """All that is there for partitions, as it says itself: then there is none for tables, and nothing is started."""
    free = four_that_take(lab, "too-much", 64).find(FREE_MEMORY, HYPERVISOR)
    machine = four_that_take(lab, "all", int(free.match[1]))
    assert machine.find(FREE_MEMORY, HYPERVISOR) is None
    assert machine.find(NO_ROOM, HYPERVISOR), machine.tail()
    assert machine.find(TABLES_DO_NOT_FIT, HYPERVISOR).match[1] == "p3", machine.tail()
