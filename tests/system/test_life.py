# SPDX-License-Identifier: Apache-2.0
"""The life of a Linux partition with two vCPUs, the boot core's among them: up, reset, up again,
power off; and the machine's end after that."""
import pytest
from conftest import LINUX_CMDLINE, partition
from messages import HYPERVISOR, LINUX_PROMPT, LINUX_UP

BOOT_SECONDS = 240

LINUX = {"initrd": "initrd.img", "on_exit": "restart",
         "cmdline": LINUX_CMDLINE}


@pytest.fixture(scope="module")
def linux(lab):
    config = "[system]\nwhen_done = poweroff\n" + \
        partition("linux", "0-1", "vmlinuz", memory="256M", **LINUX)
    image = lab.image("life", config, ["vmlinuz", "initrd.img"])
    return lab.boot("life", image, cpus=2, memory=512)


def prompt(linux, since):
    up = linux.wait_for(LINUX_UP, "linux", since=since, timeout=BOOT_SECONDS)
    assert up.match[2] == "2"
    linux.wait_for(LINUX_PROMPT, "linux", since=up.index, timeout=BOOT_SECONDS)


def test_both_vcpus_work(linux):
    prompt(linux, 0)
    mark = linux.here()
    linux.send("for c in 0 1; do taskset $((1 << c)) echo cpu $c; done\r")
    linux.wait_for(r"^cpu 1$", "linux", since=mark)
    linux.send("grep -c ^processor /proc/cpuinfo\r")
    linux.wait_for(r"^2$", "linux", since=mark)


def test_reset_from_inside(linux):
    mark = linux.here()
    linux.send("reboot -f\r")
    linux.wait_for(r"^linux: vCPU \d resets the partition$", HYPERVISOR, since=mark)
    linux.wait_for(r"^linux: restart 1$", HYPERVISOR, since=mark)
    prompt(linux, mark)


def test_power_off_from_inside(linux):
    mark = linux.here()
    linux.send("poweroff -f\r")
    linux.wait_for(r"^linux: stopped, as it asked$", HYPERVISOR, since=mark)
    linux.wait_for(r"^all partitions have stopped, 0 of them .*: power off$", HYPERVISOR, since=mark)
    linux.wait_for_end()


def test_the_guest_that_asks_the_machine(lab):
    """guests/machine.c states what a partition may rely on; it counts what holds."""
    config = partition("machine", 0, "machine.elf")
    with lab.boot("machine", lab.image("machine", config, ["machine.elf"]), cpus=1) as machine:
        done = machine.wait_for(r"^done: (\d+) ok, (\d+) failed$", "machine", timeout=120)
        assert int(done.match[1]) >= 30
        assert done.match[2] == "0"


def test_identity_memory_on_a_raw_line(lab):
    """One partition alone: its bytes come without a prefix, its RAM is where the machine's is."""
    config = "[system]\nprefix = no\n" + partition("linux", 0, "vmlinuz", memory="200M identity", **LINUX)
    image = lab.image("identity", config, ["vmlinuz", "initrd.img"])
    with lab.boot("identity", image, cpus=1, memory=512) as machine:
        machine.wait_for(LINUX_UP, timeout=BOOT_SECONDS)
        machine.wait_for(LINUX_PROMPT)
        assert machine.find(LINUX_UP).match.string.startswith("init: ")
        mark = machine.here()
        machine.send("grep 'System RAM' /proc/iomem\r")
        ram = machine.wait_for(r"^([0-9a-f]{8})-([0-9a-f]{8}) : System RAM$", since=mark + 2)
        assert int(ram.match[1], 16) > 0x100000
        assert int(ram.match[2], 16) - int(ram.match[1], 16) + 1 >= 199 << 20


def test_flat_binary(lab):
    """Real mode below 1 MiB: the third kind of image."""
    config = partition("flat", 0, "flat.bin", load="0x8000")
    with lab.boot("flat", lab.image("flat", config, ["flat.bin"]), cpus=1) as machine:
        machine.wait_for(r"flat", "flat", timeout=60)
