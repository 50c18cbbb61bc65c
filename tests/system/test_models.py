# SPDX-License-Identifier: Apache-2.0
"""The models of CPU that Mullion runs on, from the oldest to the newest: a guest that asks the
machine what a partition may rely on finds all of it on each."""
import pytest
from conftest import partition
from messages import CRASHED, HYPERVISOR

MODELS = ["corei7_ivy_bridge_3770k", "corei7_haswell_4770", "broadwell_ult", "corei3_cnl",
          "corei7_skylake_x", "corei7_icelake_u", "tigerlake"]


@pytest.mark.parametrize("model", MODELS)
def test_partition_runs_on(lab, model):
    config = partition("first", 0, "machine.elf") + partition("second", 1, "machine.elf")
    image = lab.image("models", config, ["machine.elf"])
    with lab.boot(model, image, cpus=2, model=model) as machine:
        for name in ("first", "second"):
            done = machine.wait_for(r"^done: (\d+) ok, (\d+) failed$", name, timeout=120)
            assert done.match[2] == "0", machine.tail()
            assert int(done.match[1]) >= 30
            counted = machine.wait_for(rf"^{name}: (\d+) exits; refused or absent: (\d+) MSR", HYPERVISOR)
            assert int(counted.match[1]) > 0
        assert machine.find(CRASHED) is None
