# SPDX-License-Identifier: Apache-2.0
"""An unmodified Linux that is up (guests/linux/steady.sh) does not enter the hypervisor: not while it idles, not
while it computes and takes its ticks; but for what its vCPUs send each other."""
import pytest
from conftest import LINUX_CMDLINE, PLAIN, partition
from exits import span
from messages import STEADY_BUSY, STEADY_DONE, STEADY_IDLE

TICKS = 100_000_000  # two seconds, 500 of Linux's ticks
BOOT_SECONDS = 300


@pytest.fixture(scope="module", params=[1, 2], ids=["1-vcpu", "2-vcpus"])
def linux(lab, request):
    """(vCPUs, the machine, its Linux having said that it is done)"""
    cpus = request.param
    cmdline = LINUX_CMDLINE + " IDLE=2 BUSY=2 LOAD=0 TALK=0"
    config = partition("linux", f"0-{cpus - 1}", "vmlinuz", memory="256M", initrd="steady.img", cmdline=cmdline)
    image = lab.image(f"linux-{cpus}", config, ["vmlinuz", "steady.img"], kernel=PLAIN)
    with lab.boot(f"linux-{cpus}", image, cpus=cpus) as machine:
        machine.wait_for(STEADY_DONE, "linux", timeout=BOOT_SECONDS)
        yield cpus, machine


def allowed(cpus):
    return {"ICR"} if cpus > 1 else set()


def test_idle_linux_does_not_exit(linux):
    cpus, machine = linux
    ticks, exits = span(machine, *STEADY_IDLE)
    assert ticks >= TICKS
    assert set(exits) <= allowed(cpus), exits


def test_busy_linux_does_not_exit(linux):
    cpus, machine = linux
    ticks, exits = span(machine, *STEADY_BUSY)
    assert ticks >= TICKS
    assert set(exits) <= allowed(cpus), exits
