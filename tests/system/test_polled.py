# SPDX-License-Identifier: Apache-2.0
"""The console of a UART without an interrupt, while the guest of the core that looks for input keeps it from that."""
import os

import pytest
from conftest import partition
from messages import HYPERVISOR
from patch import patch

FOCUS = b"\x1d"


def no_interrupt(lab):
    """The hypervisor with a UART that has no interrupt: core 0 looks for input by its timer."""
    return patch(os.path.join(lab.directory, "polls.elf"), "platform_uart_route", lambda code: b"\x31\xc0\xc3" + code[3:])


@pytest.mark.parametrize("guest, kernel", [("asleep", "flood.elf"), ("gone", "hello.elf")])
def test_input_is_polled_whatever_core_0_does(lab, guest, kernel):
    """Its guest sleeps as long as there are numbers, or has stopped; the other one says nothing until it hears
    something, so that nobody else looks at the UART."""
    config = partition("first", 0, kernel, cmdline=guest) + partition("witness", 1, "witness.elf", cmdline="quiet")
    with lab.boot(guest, lab.image(guest, config, [kernel, "witness.elf"], kernel=no_interrupt(lab)), cpus=2) as machine:
        machine.wait_for("input is polled$", HYPERVISOR)
        if guest == "gone":
            machine.wait_for("^first: stopped", HYPERVISOR)
        machine.wait_for("^witness: 1 ", "witness")
        machine.send(FOCUS + b"xyz")
        machine.wait_for("heard xyz$", "witness", timeout=10)
