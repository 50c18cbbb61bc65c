# SPDX-License-Identifier: Apache-2.0
"""What a boot leaves in memory for the next one: a reset in the same run of the emulator, whose memory stays."""
import os
import time

import pytest
from conftest import GUESTS, make_iso, partition
from messages import HELLO_DONE, HYPERVISOR, JITTER_LINE, NOTHING_STARTED
from patch import PROLOGUE, patch


def crashing(lab, name, symbol):
    """An image whose function `symbol` is an undefined instruction."""
    body = PROLOGUE + b"\x0f\x0b"
    kernel = patch(os.path.join(lab.directory, f"{name}.elf"), symbol, lambda old: body + old[len(body):])
    image = os.path.join(lab.directory, f"{name}.iso")
    make_iso(image, partition("only", 0, "jitter.elf"), {"jitter.elf": os.path.join(GUESTS, "jitter.elf")},
             kernel=kernel)
    return image


def last_lines(machine, since=0):
    """What this boot has said when it panicked, to the end of the last line."""
    last = machine.wait_for(r"^the machine is stopped: halt", HYPERVISOR, since=since, timeout=120).index
    while len(machine.lines()) <= last:
        assert machine.running
        time.sleep(0.01)
    return [line for line in machine.lines(HYPERVISOR, since) if not line.startswith("last| ")]


def told(machine, mark):
    """How the last boot ended, by this one, and the lines it gives for it."""
    end = machine.wait_for(r"^last boot ended: (PANIC .*CR2 0|no panic, but a reset)$", HYPERVISOR, since=mark, timeout=120)
    lines = [line[6:] for line in machine.lines(HYPERVISOR, mark) if line.startswith("last| ")]
    return end.match[1], lines


@pytest.mark.parametrize("uefi", [False, True], ids=["bios", "uefi"])
def test_panic_is_told_at_the_next_boot(lab, uefi):
    image = crashing(lab, "early", "timer_measure_tsc_khz")
    with lab.boot("uefi" if uefi else "bios", image, emulator="qemu", cpus=2, uefi=uefi) as machine:
        said = last_lines(machine)
        assert machine.find("last boot", HYPERVISOR) is None  # the first one of this memory
        for _ in range(2):
            mark = machine.press_reset()
            end, lines = told(machine, mark)
            assert end.startswith("PANIC on core 0: #UD in the hypervisor")
            assert lines == said[-len(lines):] and len(lines) > 10
            said = last_lines(machine, mark)


def test_panic_of_a_running_system_is_told(lab):
    """In Bochs, after the seal; its reset button is pressed."""
    with lab.boot("sealed", crashing(lab, "sealed", "vcpu_run"), cpus=1, watched=True) as machine:
        said = last_lines(machine)
        end, lines = told(machine, machine.press_reset())
        assert end.startswith("PANIC on core 0: #UD in the hypervisor")
        assert lines == said[-len(lines):] and len(lines) > 10


def test_reset_of_a_running_system_is_told(lab):
    """And once is enough: the boot after it that starts nothing leaves nothing."""
    image = lab.image("running", partition("only", 0, "jitter.elf"), ["jitter.elf"])
    with lab.boot("running", image, cpus=1, watched=True) as machine:
        machine.wait_for(JITTER_LINE, "only")
        said = machine.lines(HYPERVISOR)
        end, lines = told(machine, machine.press_reset())
        assert end == "no panic, but a reset"
        assert lines == said


@pytest.mark.parametrize("peace", ["refused", "done"])
def test_boot_that_ended_in_peace_is_not_told(lab, peace):
    """It refused, or it was asked to reboot when all partitions had stopped."""
    done = peace == "done"
    config = "[system]\nwhen_done = reboot\n" if done else ""
    image = lab.image(peace, config + partition("only", 0, "hello.elf"), ["hello.elf"])
    with lab.boot(peace, image, emulator="bochs" if done else "qemu", cpus=1) as machine:
        last_words = (HELLO_DONE, "only") if done else (NOTHING_STARTED, HYPERVISOR)
        first = machine.wait_for(*last_words)
        mark = first.index + 1 if done else machine.press_reset()
        machine.wait_for(*last_words, since=mark, timeout=120)
        assert machine.find("last boot", HYPERVISOR) is None
