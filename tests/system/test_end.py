# SPDX-License-Identifier: Apache-2.0
"""Ways out: the machine really switches off or resets, by what ACPI says and by what is left where it says nothing
or the wrong thing. In QEMU a refusal with when_done = poweroff ends the machine; the image is patched where that is
to be a reset, or where a way out is to be without effect. GRUB passes ACPI tables of ours there. In Bochs guests
have run. That VMX is off on every core by then: test_vmx_on.py."""
import os
import re
import struct

import pytest
from conftest import GUESTS, TOP, make_iso, partition
from iso import grub_config, make_grub_image
from messages import HYPERVISOR, NOTHING_STARTED
from patch import ELF, PROLOGUE, instruction, patch

CONFIG = "[system]\nwhen_done = poweroff\n" + partition("p", 0, "hello.elf")
SAFE = r"^this machine cannot be switched off by software: it is now safe to turn it off$"
MODULES = {"hello.elf": os.path.join(GUESTS, "hello.elf")}

QEMU_SECONDS = 30                # a machine that halts instead uses few
SLEEP_TYPE = 1                   # put into the DSDT
PM1_CONTROL = 0x604              # of both of QEMU's chipsets
MEMORY, IO = range(2)            # address spaces of ACPI
VIDEO_MEMORY = 0xfdffff00        # near its end, where q35's BIOS puts it
LOW_MEMORY = 0x7f000             # nobody's in the machine
RESET_SUPPORTED, HARDWARE_REDUCED = 1 << 10, 1 << 20


@pytest.fixture(scope="module")
def image(lab):
    return lab.image("off", CONFIG, ["hello.elf"])


@pytest.mark.parametrize("chipset, uefi", [("pc", False), ("q35", False), ("q35", True)])
def test_power_off(lab, image, chipset, uefi):
    with lab.boot(f"off-{chipset}{'-uefi' if uefi else ''}", image, emulator="qemu", cpus=2, uefi=uefi,
                  extra=["-machine", chipset, "-no-shutdown"]) as machine:
        assert machine.wait_for_event("SHUTDOWN", QEMU_SECONDS)["reason"] == "guest-shutdown"
        assert machine.find(NOTHING_STARTED, HYPERVISOR)
        control = int(machine.monitor(f"i /h {PM1_CONTROL:#x}").split("=")[1], 16)
        assert control & 1, hex(control)  # not behind the back of the firmware: ACPI mode is on


# ---- Reset -----------------------------------------------------------------------------------
WITHOUT = {  # a way of power_reset, and the same without effect
    "keyboard": (b"\xb0\xfe\xe6\x64", b"\xb0\xff\xe6\x64"),  # mov al; out 64h, al
    "cf9": (b"\xb0\x06\xee", b"\xb0\x02\xee"),               # mov al; out dx, al
}


def resetting(lab, name, without=()):
    """The image that resets where it would switch off."""
    def turn(code):  # what `how` is compared with
        head, count = re.subn(rb"(\x83[\xf8-\xff])([\1\2])", lambda m: m[1] + bytes([m[2][0] - 1]), code[:128])
        assert count == 2
        return head + code[128:]

    elf = patch(os.path.join(lab.directory, f"{name}.elf"), "machine_end", turn)
    for way in without:
        elf = patch(elf, "power_reset", instruction(*WITHOUT[way], 256), elf)
    return elf


@pytest.mark.parametrize("name, chipset, without, ending", [
    ("register", "q35", ["keyboard", "cf9"], "reset"),
    ("keyboard", "pc", ["cf9"], "reset"),
    ("cf9", "pc", ["keyboard"], "reset"),
    ("fault", "pc", ["keyboard", "cf9"], "triple fault"),
])
def test_reset(lab, name, chipset, without, ending):
    path = os.path.join(lab.directory, f"{name}.iso")
    make_iso(path, CONFIG, MODULES, kernel=resetting(lab, name, without))
    with lab.boot(name, path, emulator="qemu", cpus=2, extra=["-machine", chipset]) as machine:
        machine.wait_for_end(timeout=QEMU_SECONDS)
        assert machine.ending() == ending


# ---- By tables of ours -----------------------------------------------------------------------
def recorded_tables(machine):
    """signature -> table"""
    tables, at = {}, 0
    with open(os.path.join(TOP, f"tests/unit/data/{machine}.acpi"), "rb") as file:
        record = file.read()
    while at < len(record):
        length = struct.unpack_from("<I", record, at + 8)[0]
        tables[record[at + 12:at + 16]] = record[at + 12:at + 12 + length]
        at += 12 + length
    return tables


def image_with_fadt(lab, name, kernel, fields, machine="qemu-q35-dmar", config=CONFIG):
    """fields: (offset, form, value...). GRUB puts its addresses into the FADT and sums it up again."""
    tables = recorded_tables(machine)
    fadt, dsdt = bytearray(tables[b"FACP"].ljust(268, b"\0")), bytearray(tables[b"DSDT"])
    for offset, form, *values in [(4, "<IB", len(fadt), 5), *fields]:
        struct.pack_into(form, fadt, offset, *values)
    dsdt[dsdt.index(b"_S5_\x12\x06\x04") + 7] = SLEEP_TYPE
    files = {"mullion.elf": kernel, **MODULES}
    for file_name, table in ("facp", fadt), ("dsdt", dsdt):
        table[9] = (table[9] - sum(table)) % 256
        files[file_name] = os.path.join(lab.directory, f"{name}.{file_name}")
        with open(files[file_name], "wb") as file:
            file.write(table)
    grub = grub_config(MODULES, timeout=0, entry=0).replace("    multiboot2", "    acpi /boot/facp /boot/dsdt\n    multiboot2")
    path = os.path.join(lab.directory, f"{name}.iso")
    make_grub_image(path, grub, files, {"mullion.conf": config}, ["acpi"])
    return path


def boot_with_fadt(lab, name, kernel, fields, extra=("-no-shutdown",)):
    image = image_with_fadt(lab, name, kernel, fields)
    return lab.boot(name, image, emulator="qemu", cpus=2, extra=["-machine", "q35", *extra])


def flags(value):
    return 112, "<I", value


def register(offset, space, address):
    return offset, "<BBBBQ", space, 8, 0, 1, address


def test_reset_register_in_memory(lab):
    """A byte of the screen's memory: written, it stays; then port CF9 resets."""
    with boot_with_fadt(lab, "memory", resetting(lab, "memory"),
                        [flags(RESET_SUPPORTED), register(116, MEMORY, VIDEO_MEMORY), (128, "B", 0xa5)]) as machine:
        assert machine.wait_for_event("SHUTDOWN", QEMU_SECONDS)["reason"] == "guest-reset"
        assert int(machine.monitor(f"xp /1bx {VIDEO_MEMORY:#x}").split(":")[1], 16) == 0xa5


def test_power_off_of_hardware_reduced_acpi(lab):
    """QEMU's exit port for tests as the sleep control register: its status tells what was written."""
    with boot_with_fadt(lab, "reduced", ELF, [flags(HARDWARE_REDUCED), register(244, IO, 0xf4)],
                        ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]) as machine:
        machine.wait_for_end(timeout=QEMU_SECONDS)
        assert machine.ending() == f"status {2 * (SLEEP_TYPE << 2 | 1 << 5) + 1}: "


def test_machine_that_does_not_switch_off(lab):
    with boot_with_fadt(lab, "stays", ELF, [flags(HARDWARE_REDUCED), register(244, MEMORY, 0)]) as machine:
        machine.wait_for(SAFE, HYPERVISOR, timeout=QEMU_SECONDS)


# ---- After guests ----------------------------------------------------------------------------
def test_reboot_after_guests(lab):
    config = "[system]\nwhen_done = reboot\n" + partition("h0", 0, "hello.elf") + partition("h1", 1, "hello.elf")
    with lab.boot("reboot", lab.image("reboot", config, ["hello.elf"]), cpus=3) as machine:
        machine.wait_for(r"^all partitions have stopped, 0 .*: reboot$", HYPERVISOR)
        machine.wait_for_reset()


def test_reboot_after_a_panic(lab):
    """The last core to enter a guest fails; on_panic says what then."""
    kernel = patch(os.path.join(lab.directory, "panic.elf"), "vcpu_run",
                   lambda old: PROLOGUE + b"\x0f\x0b" + old[len(PROLOGUE) + 2:])
    path = os.path.join(lab.directory, "panic.iso")
    make_iso(path, "[system]\non_panic = reboot\n" + partition("h", 0, "hello.elf"), MODULES, kernel=kernel)
    with lab.boot("panic", path, cpus=2) as machine:
        machine.wait_for(r"^PANIC on core \d: #UD", HYPERVISOR)
        machine.wait_for(r"^the machine is stopped: reboot$", HYPERVISOR)
        machine.wait_for_reset()


def test_reset_register_in_memory_after_the_seal(lab):
    """It is seen again once all is over, though no core saw it while guests ran. A breakpoint before what is tried
    next looks at it."""
    kernel = patch(os.path.join(lab.directory, "sealed.elf"), "power_reset",
                   instruction(b"\xb0\x02\xee", b"\x66\x87\xdb", 256))  # not the first OUT to CF9H but xchg bx, bx
    image = image_with_fadt(lab, "sealed", kernel, [flags(RESET_SUPPORTED), register(116, MEMORY, LOW_MEMORY),
                                                    (128, "B", 0xa5)], "bochs",
                            "[system]\nwhen_done = reboot\n" + partition("h", 1, "hello.elf"))
    with lab.boot("sealed", image, cpus=2, at_break=[f"xp /1bx {LOW_MEMORY:#x}"]) as machine:
        machine.wait_for(r"^all partitions have stopped, 0 .*: reboot$", HYPERVISOR)
        machine.wait_for_reset()
        machine.close()
        with open(os.path.join(machine.directory, "stdout"), encoding="utf-8", errors="replace") as file:
            assert re.findall(r"<bogus\+ *0>:\s+0x([0-9a-f]+)", file.read()) == ["a5"]
