# SPDX-License-Identifier: Apache-2.0
"""VMX on and off, core by core: what the firmware left in IA32_FEATURE_CONTROL, a core that is not
like the first, VMXON on every core, VMXOFF on every core before the machine ends. The BIOS is Bochs's
own, patched; CR4 is what the emulator shows of each core at the end of a run."""
import os

import pytest
from conftest import CR4_VMXE, cr4_of_cores, partition
from messages import CORES_STARTED, HELLO_DONE, HYPERVISOR, MISSING, NOTHING_STARTED
from patch import patch_bios

LOCKED_ON, LOCKED_OFF, UNLOCKED = 5, 1, 0

# mov ecx, 3Ah; rdmsr; or eax, 5: once in 16-bit code, for the APs, and once for the boot core.
FOR_APS = bytes.fromhex("66b93a0000000f326683c8")
FOR_BOOT_CORE = bytes.fromhex("b93a0000000f3283c8")


def firmware(lab, name, boot_core, aps):
    """A line for the emulator's configuration: a BIOS that leaves the MSR so."""
    return patch_bios(os.path.join(lab.directory, f"{name}.bios"),
                      *((code + b"\x05", code + bytes([value]))
                        for code, value in ((FOR_APS, aps), (FOR_BOOT_CORE, boot_core))))


def boot(lab, name, boot_core, aps, cpus, on=0):
    image = lab.image(name, "[system]\nwhen_done = poweroff\n" + partition("hello", on, "hello.elf"),
                      ["hello.elf"])
    return lab.boot(name, image, cpus=cpus, extra=[firmware(lab, name, boot_core, aps)])


@pytest.mark.parametrize("boot_core, aps", [(UNLOCKED, UNLOCKED), (LOCKED_ON, UNLOCKED)])
def test_K12_feature_control_unlocked_is_set_on_each_core(lab, boot_core, aps):
    """The second case is what a UEFI firmware did: the APs forgotten. Bochs refuses VMXON otherwise."""
    with boot(lab, f"unlocked{boot_core}", boot_core, aps, cpus=2, on=1) as machine:
        machine.wait_for(HELLO_DONE, "hello")
        machine.wait_for_end()


def test_K12_feature_control_locked_off_is_refused_with_a_hint(lab):
    with boot(lab, "locked", LOCKED_OFF, LOCKED_OFF, cpus=2) as machine:
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)
        assert machine.find(MISSING + r"VMX enabled \(firmware set-up: enable .*VT-x", HYPERVISOR)
        machine.wait_for_end()  # when_done = poweroff holds for a refusal too


def test_G03_core_unlike_the_boot_core_is_left_out(lab):
    """VMX is locked off on core 1 alone: it must not even try VMXON."""
    with boot(lab, "unlike", LOCKED_ON, LOCKED_OFF, cpus=2) as machine:
        machine.wait_for(r"^CPU 1 is not like the boot CPU: IA32_FEATURE_CONTROL is 0x1, there 0x5$", HYPERVISOR)
        assert machine.wait_for(CORES_STARTED, HYPERVISOR).match.groups() == ("1", "2")
        machine.wait_for(HELLO_DONE, "hello")
        machine.wait_for_end()
        assert machine.find("PANIC", HYPERVISOR) is None


def test_G03_partition_on_a_core_left_out_is_refused(lab):
    with boot(lab, "unlike-used", LOCKED_ON, LOCKED_OFF, cpus=2, on=1) as machine:
        machine.wait_for(r"mullion\.conf:\d+: cpus: .*, not core 1$", HYPERVISOR)
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)


def test_K11_V003_vmx_is_on_on_every_core(lab):
    """Two cores with a partition, one with none: all are in VMX operation, each by its own region, or
    VMXON would have failed, which is a panic."""
    image = lab.image("on", partition("p0", 0, "jitter.elf") + partition("p1", 1, "jitter.elf"), ["jitter.elf"])
    with lab.boot("on", image, cpus=3) as machine:
        machine.wait_for("^jitter: ns", "p0")
        machine.wait_for("^jitter: ns", "p1")
        machine.close()
        cr4 = cr4_of_cores(machine)
        assert sorted(cr4) == [0, 1, 2]
        assert all(value & CR4_VMXE for value in cr4.values()), cr4


def test_V004_K13_vmx_is_off_on_every_core_at_the_end(lab):
    """INIT is blocked in VMX root operation: no core may be left there when the machine is reset or
    switched off. One core is parked, one ends the machine, one never had a partition."""
    config = "[system]\nwhen_done = poweroff\n" + partition("h0", 0, "hello.elf") + partition("h1", 1, "hello.elf")
    with lab.boot("off", lab.image("off", config, ["hello.elf"]), cpus=3) as machine:
        machine.wait_for_end()
        assert machine.ending() == "poweroff"
        cr4 = cr4_of_cores(machine)
        assert sorted(cr4) == [0, 1, 2]
        assert not any(value & CR4_VMXE for value in cr4.values()), cr4
