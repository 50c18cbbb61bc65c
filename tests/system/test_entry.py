# SPDX-License-Identifier: Apache-2.0
"""VM entries: one that fails names the rule of the SDM that the VMCS breaks, and the image that looks
for such rules before every entry finds none."""
import os

import pytest
from conftest import DEBUG, GUESTS, LINUX_CMDLINE, PLAIN, make_iso, partition
from messages import HYPERVISOR, LINUX_PROMPT, LINUX_UP
from patch import instruction, patch, vmwrites_forgotten

TWO = partition("first", 0, "hello.elf") + partition("second", 1, "hello.elf")


def boot(lab, name, kernel, config, files, **machine):
    image = os.path.join(lab.directory, f"{name}.iso")
    make_iso(image, config, {os.path.basename(file): os.path.join(GUESTS, file) for file in files}, kernel=kernel)
    return lab.boot(name, image, **machine)


def boot_patched(lab, name, change, config=TWO, cpus=2, **elf):
    kernel = patch(os.path.join(lab.directory, f"{name}.elf"), "image_start", change, **elf)
    return boot(lab, name, kernel, config, ["hello.elf"], cpus=cpus)


def rule(section, field, value, words):
    return rf'{field} is {value}: {words}.* \("{section}"\)$'


GUEST_FAULTS = {
    "TR": (instruction(b"\x41\xb8\x8b\x00\x00\x00", b"\x41\xb8\x89\x00\x00\x00"),  # mov r8d: an available TSS
           rule("Checks on Guest Segment Registers", r"GUEST_RIGHTS TR \(field 0x4822\)", "0x89",
                "the type must be 3 or 11, a busy TSS")),
    "RFLAGS": (vmwrites_forgotten(0x6820),
               rule("Checks on Guest RIP, RFLAGS, and SSP", r"GUEST_RFLAGS \(field 0x6820\)", "0x0",
                    "bit 1 must be 1")),
    "CR0": (vmwrites_forgotten(0x6800),
            rule("Checks on Guest Control Registers, Debug Registers, and MSRs", r"GUEST_CR0 \(field 0x6800\)",
                 "0x0", "each bit but PE and PG must be as IA32_VMX_CR0_FIXED0")),
    "CR4": (vmwrites_forgotten(0x6804),
            rule("Checks on Guest Control Registers, Debug Registers, and MSRs", r"GUEST_CR4 \(field 0x6804\)",
                 "0x0", "each bit must be as IA32_VMX_CR4_FIXED0")),
    "link": (vmwrites_forgotten(0x2800), r"^  qualification 0x4$"),  # there no VMCS is: memory, no field
}


@pytest.mark.parametrize("fault", GUEST_FAULTS)
def test_Y07_failed_entry_stops_its_partition(lab, fault):
    """Each vCPU's guest state is wrong: both partitions stop, with the rule; no panic."""
    change, words = GUEST_FAULTS[fault]
    with boot_patched(lab, fault, change) as machine:
        for name in ("first", "second"):
            start = machine.wait_for(rf"^{name}: vCPU 0 on core \d: VM entry failed$", HYPERVISOR, timeout=120)
            machine.wait_for(words, HYPERVISOR, since=start.index)
            machine.wait_for(rf"^{name}: stopped, crashed$", HYPERVISOR)
        assert machine.find(r"exit 33 \(entry failure: guest state\)", HYPERVISOR)
        assert machine.find("PANIC", HYPERVISOR) is None


# The field that is forgotten, in which image, and what is said: by the debug build the rule that is broken.
OUR_FAULTS = {
    "pin": (0x4000, PLAIN, "VM entry with invalid control fields;"),
    "host-CR4": (0x6c04, PLAIN, "VM entry with invalid host-state fields;"),
    "entry": (0x4012, DEBUG, rule("VM-Entry Control Fields", r"ENTRY \(field 0x4012\)", "0x0",
                                  ".*IA32_VMX_ENTRY_CTLS allows")),
    "host-CS": (0x0c02, DEBUG, rule("Checks on Host Segment and Descriptor-Table Registers", r"HOST_CS \(field 0xc02\)",
                                    "0x0", ".*must not be 0")),
}


@pytest.mark.parametrize("fault", OUR_FAULTS)
def test_M02_M03_M10_M11_refused_entry_is_no_guests_fault(lab, fault):
    """VMfailValid 7 and 8 stop the partition of that core. Only the debug build knows those rules, and panics before the
    CPU refuses."""
    field, elf, words = OUR_FAULTS[fault]
    with boot_patched(lab, fault, vmwrites_forgotten(field), partition("only", 0, "hello.elf"), cpus=1, elf=elf) as machine:
        if elf == DEBUG:
            machine.wait_for(f"^PANIC on core 0: VMCS audit: {words}", HYPERVISOR, timeout=120)
        else:
            machine.wait_for(f"^only: vCPU 0 on core 0: {words}", HYPERVISOR, timeout=120)
            machine.wait_for("^only: stopped, crashed$", HYPERVISOR)
            assert machine.find("PANIC", HYPERVISOR) is None


def test_V041_audit_finds_the_fault_before_the_entry(lab):
    with boot_patched(lab, "audit", vmwrites_forgotten(0x6820), partition("only", 0, "hello.elf"),
                      cpus=1, elf=DEBUG) as machine:
        machine.wait_for("^PANIC on core 0: VMCS audit: " + GUEST_FAULTS["RFLAGS"][1], HYPERVISOR, timeout=120)


def test_V041_M01_M02_linux_under_audit(lab):
    """Start in 64-bit mode, SIPI, and every exit until a shell is there."""
    config = partition("linux", "0-1", "vmlinuz", memory="256M", initrd="initrd.img", cmdline=LINUX_CMDLINE)
    with boot(lab, "linux", DEBUG, config, ["linux/vmlinuz", "linux/initrd.img"], cpus=2, memory=512) as machine:
        machine.wait_for(LINUX_UP, "linux", timeout=300)
        machine.wait_for(LINUX_PROMPT, "linux")
        assert machine.find("PANIC", HYPERVISOR) is None
