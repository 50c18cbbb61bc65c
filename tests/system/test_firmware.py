# SPDX-License-Identifier: Apache-2.0
"""What firmware leaves behind and a machine shows only once: cores in x2APIC mode already, memory that the MTRRs do
not make write-back. The BIOS is Bochs's own, patched where it sets other MSRs."""
import os

import pytest
from conftest import partition
from messages import CORES_STARTED, HELLO_DONE, HYPERVISOR
from patch import patch_bios

# mov ecx, 3Ah; rdmsr; or eax, 5 becomes mov ecx, 1Bh; rdmsr; or ah, 0CH: IA32_APIC_BASE.EN and EXTD.
ON_APS = bytes.fromhex("66b93a0000000f326683c805"), bytes.fromhex("66b91b0000000f326680cc0c")
ON_BOOT_CORE = bytes.fromhex("b93a0000000f3283c8050f30"), bytes.fromhex("b91b0000000f3280cc0c0f30")

# The variable range of the BIOS, C0000000H to FFFFFFFFH uncached: its base as written and as noted for the APs, and
# its size.
MTRR_BASE = bytes.fromhex("b900020000b8000000c0")
MTRR_BASE_OF_APS = bytes.fromhex("c78688000000000000c0")
MTRR_MASK = bytes.fromhex("81e2000000c0")


CONFIG = "[system]\nwhen_done = poweroff\n" + partition("first", 0, "hello.elf") + partition("third", 2, "hello.elf")


@pytest.fixture(scope="module")
def image(lab):
    return lab.image("firmware", CONFIG, ["hello.elf"])


def boot(lab, name, image, *changes):
    """To the end: three cores start, and a guest runs on two of them."""
    bios = patch_bios(os.path.join(lab.directory, f"{name}.bios"), *changes)
    machine = lab.boot(name, image, cpus=3, memory=512, extra=[bios])
    assert machine.wait_for(CORES_STARTED, HYPERVISOR).match.groups() == ("3", "3")
    for guest in ("first", "third"):
        machine.wait_for(HELLO_DONE, guest)
    assert machine.wait_for_end() == "poweroff"
    assert machine.find("PANIC", HYPERVISOR) is None
    return machine


@pytest.mark.parametrize("changes", [[ON_APS], [ON_BOOT_CORE], [ON_APS, ON_BOOT_CORE]], ids=["aps", "boot", "all"])
def test_x2apic_mode_is_on_already(lab, image, changes):
    """On some cores, which are reached by those in the other mode, or on all."""
    boot(lab, f"x2apic-{changes[0] is ON_APS:d}{len(changes)}", image, *changes)


def test_memory_that_is_not_write_back_is_left_out(lab, image):
    """The upper half of the RAM, where GRUB has put the hypervisor, is write-combining on every core."""
    base = (0x1000_0001).to_bytes(4, "little")
    machine = boot(lab, "mtrr", image, (MTRR_BASE, MTRR_BASE[:-4] + base),
                   (MTRR_BASE_OF_APS, MTRR_BASE_OF_APS[:-4] + base), (MTRR_MASK, MTRR_MASK[:-1] + b"\xf0"))
    assert int(machine.find(r"^Mullion, loaded at 0x(\w+)$", HYPERVISOR).match[1], 16) > 0x1000_0000
    left_out = machine.find(r"^memory: (\d+) KiB of RAM from 0x10000000 on are not write-back .*: left out$", HYPERVISOR)
    assert 250 * 1024 < int(left_out.match[1]) <= 256 * 1024
