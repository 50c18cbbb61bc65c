# SPDX-License-Identifier: Apache-2.0
"""Partitions that come up, each in a way of its own: a guest that asks the machine what it may rely on,
memory at the machine's addresses, a flat binary. Reset and power-off of a whole Linux: test_smp_linux."""
from conftest import LINUX_CMDLINE, partition
from messages import LINUX_PROMPT, LINUX_UP

BOOT_SECONDS = 240


def test_the_guest_that_asks_the_machine(lab):
    """guests/machine.c states what a partition may rely on; it counts what holds. An empty module is one."""
    config = partition("machine", 0, "machine.elf", module="empty")
    with lab.boot("machine", lab.image("machine", config, ["machine.elf", "empty"]), cpus=1) as machine:
        done = machine.wait_for(r"^done: (\d+) ok, (\d+) failed$", "machine", timeout=120)
        assert int(done.match[1]) >= 30
        assert done.match[2] == "0"


def test_identity_memory(lab):
    """Its RAM is where the machine's is."""
    config = partition("linux", 0, "vmlinuz", memory="200M identity", initrd="initrd.img", cmdline=LINUX_CMDLINE)
    image = lab.image("identity", config, ["vmlinuz", "initrd.img"])
    with lab.boot("identity", image, cpus=1, memory=512) as machine:
        machine.wait_for(LINUX_UP, "linux", timeout=BOOT_SECONDS)
        machine.wait_for(LINUX_PROMPT, "linux")
        mark = machine.here()
        machine.send("grep 'System RAM' /proc/iomem\r")
        ram = machine.wait_for(r"^([0-9a-f]{8})-([0-9a-f]{8}) : System RAM$", "linux", since=mark + 2)
        assert int(ram.match[1], 16) > 0x100000
        assert int(ram.match[2], 16) - int(ram.match[1], 16) + 1 >= 199 << 20


def test_flat_binary(lab):
    """Real mode below 1 MiB: the third kind of image."""
    config = partition("flat", 0, "flat.bin", load="0x8000")
    with lab.boot("flat", lab.image("flat", config, ["flat.bin"]), cpus=1) as machine:
        machine.wait_for(r"flat", "flat", timeout=60)
