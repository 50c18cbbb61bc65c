# SPDX-License-Identifier: Apache-2.0
"""Machines that cannot run Mullion: it says what is missing, by name, and starts nothing."""
import pytest
from conftest import partition
from messages import (HYPERVISOR, JITTER_LINE, MISSING, NO_EPT, NO_INTEL, NO_UNRESTRICTED_GUEST,
                      NO_VMX, NO_X2APIC, NOTHING_STARTED)


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
