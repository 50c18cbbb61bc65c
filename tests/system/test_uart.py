# SPDX-License-Identifier: Apache-2.0
"""Consoles other than COM1: where ACPI's SPCR says, or the config, in ports and in memory."""
import os
import struct

import pytest
from conftest import partition
from messages import HYPERVISOR, NOTHING_STARTED
from screen import vga_font

PCI_SERIAL = ["-chardev", "file,id=card,path=card", "-device", "pci-serial,chardev=card"]


def bar(lab, extra, bar_number, memory):
    """Where the firmware puts this device's BAR: it is there in every boot."""
    image = lab.image("bars", partition("p", 0, "jitter.elf"), ["jitter.elf"])
    with lab.boot("bars", image, emulator="qemu", cpus=1, memory=memory, extra=extra) as machine:
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)
        regions = [(region["bar"], region["address"]) for bus in machine.qmp("query-pci")
                   for device in bus["devices"] if device["qdev_id"] == "it" for region in device["regions"]]
        return dict(regions)[bar_number]


def card_lines(machine):
    path = os.path.join(machine.directory, "card")
    if not os.path.exists(path):  # QEMU has only just been started
        return []
    with open(path, encoding="ascii") as file:
        return file.read().splitlines()


@pytest.mark.parametrize("by", ["config", "spcr"])
def test_serial_card(lab, by):
    """It gets the log from the first line on, COM1 only what came before the card was known."""
    extra = PCI_SERIAL[:-1] + [PCI_SERIAL[-1] + ",id=it"]
    port = bar(lab, extra, 0, 128)
    config = partition("p", 0, "jitter.elf")
    if by == "config":
        config = f"[system]\nconsole = {port:#x}\n" + config
    else:
        path = os.path.join(lab.directory, "spcr.table")
        with open(path, "wb") as file:  # header, kind, a Generic Address Structure
            table = bytearray(struct.pack("<4sIBx6s8sI4sIB3xBBBBQ28x", b"SPCR", 80, 2, b"MULLIO", b"TEST", 1, b"TEST", 1,
                                          0, 1, 8, 0, 1, port))
            table[9] = -sum(table) & 0xff
            file.write(table)
        extra = ["-acpitable", f"file={path}"] + extra
    with lab.boot(by, lab.image(by, config, ["jitter.elf"]), emulator="qemu", cpus=1, memory=128,
                  extra=extra) as machine:
        machine._wait(lambda: "nothing was started" in "".join(card_lines(machine)) or None, 6,
                      "refusal on the card")
        on_card, on_com1 = card_lines(machine), machine.lines(HYPERVISOR)
        assert on_card[0].startswith("mullion| Mullion, loaded at")
        assert [f"mullion| {line}" for line in on_com1] == on_card[:len(on_com1)]
        assert 1 <= len(on_com1) < len(on_card) - 3


@pytest.mark.parametrize("kind, stride", [("mmio", 1), ("mmio32", 4)])
def test_uart_in_memory(lab, kind, stride):
    """A device's memory that reads as a UART's registers do when it is idle; what is written stays there."""
    path = os.path.join(lab.directory, f"{kind}.memory")
    with open(path, "wb") as file:
        file.truncate(4096)
        file.seek(5 * stride)
        file.write(b"\x60")  # line status: all is sent
    extra = ["-object", f"memory-backend-file,id=registers,size=4K,share=on,mem-path={path}",
             "-device", "ivshmem-plain,memdev=registers,id=it"]
    config = f"[system]\nconsole = {kind}:{bar(lab, extra, 2, 128):#x}\n" + partition("p", 0, "jitter.elf")
    with lab.boot(kind, lab.image(kind, config, ["jitter.elf"]), emulator="qemu", cpus=1, memory=128,
                  extra=extra) as machine:
        machine._wait(lambda: "nothing was started" in "".join(machine.picture().text(vga_font("qemu"), 9)) or None,
                      6, "refusal on the screen")
        with open(path, "rb") as file:
            written = file.read()
        registers = bytes(written[reg * stride] for reg in range(8))
        assert registers == bytes([ord("\n"), 0, 7, 3, 0x0b, 0x60, 0, 0x5a])
        assert not any(written[8 * stride:])
        assert machine.find(NOTHING_STARTED, HYPERVISOR) is None  # COM1 is no longer told
