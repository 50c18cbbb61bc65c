# SPDX-License-Identifier: Apache-2.0
"""What the machine is: threads of one core, and what follows from it."""
import pytest
from conftest import partition
from messages import HYPERVISOR, JITTER_LINE, NOTHING_STARTED

SMT = ["cpu: count=1:2:2"]  # APIC ids 0 and 1 are one core, 2 and 3 the other


@pytest.mark.parametrize("core, word, starts", [(1, "apart", False), (2, "apart", True), (1, "share", True)])
def test_threads_of_a_core_in_two_partitions(lab, core, word, starts):
    name = f"smt-{word}-{core}"
    image = lab.image(name, f"[system]\nsmt = {word}\n" + partition("a", 0, "jitter.elf") +
                      partition("b", core, "jitter.elf"), ["jitter.elf"])
    with lab.boot(name, image, cpus=4, extra=SMT) as machine:
        if starts:
            machine.wait_for(JITTER_LINE, "b")
        else:
            machine.wait_for(NOTHING_STARTED, HYPERVISOR)
            assert machine.find(r"^mullion.conf:\d+: cpus: core 0 of partition a .* shares a physical core",
                                HYPERVISOR)
            assert machine.exits() == {}
