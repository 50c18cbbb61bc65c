# SPDX-License-Identifier: Apache-2.0
"""What Bochs has not: UEFI, q35, another BIOS. QEMU's TCG has no VMX, so that all ends in the
refusal, but the cores are started first."""
import pytest
from messages import CANNOT_RUN, CORES_STARTED, HYPERVISOR, NO_VMX

CONFIG = "[partition p]\ncpus = 0\nmemory = 16M\nkernel = jitter.elf\n"


@pytest.fixture(scope="module")
def image(lab):
    return lab.image("qemu", CONFIG, ["jitter.elf"])


@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("uefi", [False, True], ids=["bios", "uefi"])
def test_cores_start_and_vmx_is_missed(lab, image, uefi, cpus):
    with lab.boot(f"{'uefi' if uefi else 'bios'}{cpus}", image, emulator="qemu", uefi=uefi,
                  cpus=cpus) as machine:
        found = machine.wait_for(CORES_STARTED, HYPERVISOR, timeout=120)
        assert found.match.groups() == (str(cpus), str(cpus))
        machine.wait_for(CANNOT_RUN, HYPERVISOR)
        machine.wait_for(rf"missing: .*{NO_VMX}", HYPERVISOR)
        assert machine.lines("p") == []
