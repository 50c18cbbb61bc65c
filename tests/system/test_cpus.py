# SPDX-License-Identifier: Apache-2.0
"""Machines of one to eight cores, divided in many ways: all cores start, in each partition all vCPUs find
each other (guests/rows/vcpus.c) and nobody else."""
import pytest
from conftest import PLAIN, partition
from messages import CORES_STARTED, CRASHED, HYPERVISOR, JITTER_LINE

SHAPES = {  # cores of the machine, cores of each partition
    "1": (1, ["0"]),
    "1-and-1": (2, ["0", "1"]),
    "3": (3, ["0-2"]),
    "boot-core-last": (3, ["1,2", "0"]),
    "2-and-2": (4, ["0,2", "1,3"]),
    "1-of-each": (8, [str(cpu) for cpu in range(8)]),
    "8": (8, ["0-7"]),
    "4-3-1": (8, ["4-7", "1-3", "0"]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_K11_all_vcpus_work(lab, shape):
    cores, partitions = SHAPES[shape]
    config = "".join(partition(f"p{i}", cpus, "rows.elf", cmdline="only=vcpus")
                     for i, cpus in enumerate(partitions))
    with lab.boot(shape, lab.image(shape, config, ["rows.elf"], kernel=PLAIN), cpus=cores) as machine:
        assert machine.wait_for(CORES_STARTED, HYPERVISOR).match.groups() == (str(cores), str(cores))
        for i in range(len(partitions)):
            machine.wait_for(r"^rows: all done$", f"p{i}", timeout=240)
            assert machine.find(r"^done: 1\d ok, 0 failed$", f"p{i}"), machine.tail(100)
        assert machine.find(CRASHED) is None


def test_cores_no_partition_owns_stay_quiet(lab):
    """Two of four cores given away: the others are started and do not disturb."""
    config = partition("p0", 0, "jitter.elf") + partition("p1", 1, "jitter.elf")
    with lab.boot("spare", lab.image("spare", config, ["jitter.elf"]), cpus=4) as machine:
        assert machine.wait_for(CORES_STARTED, HYPERVISOR).match.groups() == ("4", "4")
        for name in ("p0", "p1"):
            first = machine.wait_for(JITTER_LINE, name, timeout=60)
            machine.wait_for(JITTER_LINE, name, since=first.index + 1, timeout=60)
        machine.close()
        assert {cpu for cpu, _ in machine.witness()[-1][1]} == {0, 1}
