# SPDX-License-Identifier: Apache-2.0
"""What Bochs has not: UEFI, q35, another BIOS. QEMU's TCG has no VMX, so that all ends in the
refusal, but the cores are started first."""
import pytest
from conftest import partition
from messages import CORES_STARTED, HYPERVISOR, MISSING, NO_VMX, NOTHING_STARTED


@pytest.fixture(scope="module")
def image(lab):
    return lab.image("qemu", partition("p", 0, "jitter.elf"), ["jitter.elf"])


@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("uefi", [False, True], ids=["bios", "uefi"])
def test_cores_start_and_vmx_is_missed(lab, image, uefi, cpus):
    with lab.boot(f"{'uefi' if uefi else 'bios'}{cpus}", image, emulator="qemu", uefi=uefi,
                  cpus=cpus) as machine:
        found = machine.wait_for(CORES_STARTED, HYPERVISOR, timeout=60)
        assert found.match.groups() == (str(cpus), str(cpus))
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)
        assert machine.find(MISSING + f".*{NO_VMX}", HYPERVISOR), machine.tail()
        assert machine.lines("p") == []
