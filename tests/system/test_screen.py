# SPDX-License-Identifier: Apache-2.0
"""The log on the screen, as a person would read it: the picture is taken from the emulator and compared
glyph by glyph with the font. What stands there must be what went over the serial line."""
import os

import pytest
from conftest import GUESTS, make_iso, partition
from emulator import NotSeen
from messages import HYPERVISOR, JITTER_LINE, NO_VMX, NOTHING_STARTED
from screen import our_font, vga_font

# name: (keywords of the machine, GRUB's gfxpayload, columns, rows, pixels a cell is wide)
SCREENS = {
    "bios-text": ({}, "text", 80, 25, 9),
    "bios-pixels": ({}, "1024x768x32", 128, 48, 8),
    "uefi": ({"uefi": True}, "", 160, 50, 8),
}
WRONG = "[system]\n" + "".join(f"wrong{i} = {'x' * (i % 45)}\n" for i in range(70))


def make(lab, name, config, modules=("jitter.elf",), video="text"):
    image = os.path.join(lab.directory, f"{name}.iso")
    make_iso(image, config, {module: os.path.join(GUESTS, module) for module in modules}, video=video)
    return image


def wrapped(machine, columns):
    """Rows of a screen that has shown all that the hypervisor sent, from its first line on."""
    lines = [f"{line.name}| {line.text}" for line in machine.console.lines if line.name]
    assert lines[0].startswith("mullion| Mullion, loaded at")
    return [line[at:at + columns].rstrip() for line in lines for at in range(0, len(line), columns)]


def read(machine, font, good, cell_width=9):
    """The rows that stand on the screen, without the empty ones at its end, as soon as they are good."""
    for _ in range(1000):  # pictures of a machine that goes on between them
        rows = machine.picture().text(font, cell_width)
        while rows and not rows[-1]:
            rows.pop()
        if good(rows):
            return rows
    raise NotSeen("this stands on the screen:\n" + "\n".join(rows))


@pytest.mark.parametrize("name", SCREENS)
def test_refusal_is_read_on_the_screen(lab, name):
    """What a stranger sees who boots a machine that cannot run Mullion."""
    machine, video, columns, _, cell_width = SCREENS[name]
    font = vga_font("qemu") if video == "text" else our_font()
    image = make(lab, name, partition("p", 0, "jitter.elf"), video=video)
    with lab.boot(name, image, emulator="qemu", cpus=2, **machine) as machine:
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)
        assert machine.find(NO_VMX, HYPERVISOR)
        read(machine, font, lambda shown: shown == wrapped(machine, columns), cell_width)


def test_cpu_without_64_bits_is_told_on_the_screen(lab):
    image = make(lab, "old", partition("p", 0, "jitter.elf"))
    with lab.boot("old", image, emulator="qemu", cpus=1, model="pentium3") as machine:
        line = machine.wait_for(r"^this CPU cannot run Mullion: no 64-bit mode with NX", HYPERVISOR).match[0]
        read(machine, vga_font("qemu"), lambda shown: any(row.startswith(f"mullion| {line}") for row in shown))


@pytest.mark.parametrize("name", SCREENS)
def test_screen_scrolls(lab, name):
    """Seventy complaints about a config: the last of them stay."""
    machine, video, columns, rows, cell_width = SCREENS[name]
    font = vga_font("qemu") if video == "text" else our_font()
    image = make(lab, f"{name}-scrolls", WRONG, video=video)
    with lab.boot(f"{name}-scrolls", image, emulator="qemu", cpus=1, **machine) as machine:
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)
        sent = wrapped(machine, columns)
        assert len(sent) > rows
        read(machine, font, lambda shown: len(shown) >= rows * 3 // 4 and shown == sent[-len(shown):], cell_width)


def test_no_screen_if_the_config_says_so(lab):
    image = make(lab, "off", "[system]\nscreen = no\n" + partition("p", 0, "jitter.elf"))
    with lab.boot("off", image, emulator="qemu", cpus=1) as machine:
        machine.wait_for(NOTHING_STARTED, HYPERVISOR)
        read(machine, vga_font("qemu"), lambda shown: shown == wrapped(machine, 80)[:2])  # before the config


def test_guests_are_read_on_the_screen(lab):
    """Two partitions with their prefixes, after the seal, and a serial line beside it."""
    config = partition("steady", 0, "jitter.elf") + partition("other", 1, "hello.elf")
    image = make(lab, "bochs", config, ["jitter.elf", "hello.elf"])
    with lab.boot("bochs", image, cpus=2, watched=True) as machine:
        found = machine.wait_for(JITTER_LINE, "steady")
        machine.wait_for(JITTER_LINE, "steady", since=found.index + 1)

        def good(rows):  # it is some rows of what was sent, without a gap
            sent = wrapped(machine, 80)
            return len(rows) > 20 and any(rows == sent[at:at + len(rows)] for at in range(len(sent)))

        rows = read(machine, vga_font("bochs"), good)
        assert "other| hello: done" in rows and any(row.startswith("steady| jitter: ns min") for row in rows)


def test_machine_without_a_uart(lab):
    """The screen has it all, from the first line of the log to the guest's last: so few that none scrolls away."""
    image = make(lab, "no-uart", partition("once", 0, "hello.elf"), ["hello.elf"])
    with lab.boot("no-uart", image, cpus=1, watched=True, extra=["com1: enabled=0"]) as machine:
        rows = read(machine, vga_font("bochs"), lambda rows: any(row.startswith("once| hello: done") for row in rows))
        assert rows[0] == "mullion| console: no UART at port 0x3f8"
        assert rows[1].startswith("mullion| Mullion, loaded at")
        assert machine.lines() == []
