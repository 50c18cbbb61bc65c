# SPDX-License-Identifier: Apache-2.0
"""One, two and four cores, a partition on each: all start, all stay alive."""
import pytest
from conftest import partition
from messages import CORES_STARTED, HYPERVISOR, JITTER_LINE


def config(cpus):
    return "".join(partition(f"p{cpu}", cpu, "jitter.elf") for cpu in range(cpus))


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_K11_partition_on_each_core(lab, cpus):
    image = lab.image(f"cpus{cpus}", config(cpus), ["jitter.elf"])
    with lab.boot(f"cpus{cpus}", image, cpus=cpus) as machine:
        found = machine.wait_for(CORES_STARTED, HYPERVISOR)
        assert found.match.groups() == (str(cpus), str(cpus))
        for cpu in range(cpus):
            first = machine.wait_for(JITTER_LINE, f"p{cpu}", timeout=60)
            machine.wait_for(JITTER_LINE, f"p{cpu}", since=first.index + 1, timeout=60)


def test_cores_no_partition_owns_stay_quiet(lab):
    """Two of four cores given away: the others are started and do not disturb."""
    image = lab.image("spare", config(2), ["jitter.elf"])
    with lab.boot("spare", image, cpus=4) as machine:
        assert machine.wait_for(CORES_STARTED, HYPERVISOR).match.groups() == ("4", "4")
        machine.wait_for(JITTER_LINE, "p0", timeout=60)
        machine.wait_for(JITTER_LINE, "p1", timeout=60)
        machine.close()
        assert {cpu for cpu, _ in machine.witness()[-1][1]} == {0, 1}
