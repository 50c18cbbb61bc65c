# SPDX-License-Identifier: Apache-2.0
"""Guests of every origin boot unchanged: one 32-bit program in each wrapping that a kernel can come in
(guests/origins), which prints what it was given and then makes free with its machine, all in one boot; and
kernels of other people."""
import os

import pytest
from conftest import GUESTS, LINUX_CMDLINE, PLAIN, partition
from messages import HYPERVISOR, LINUX_PROMPT, LINUX_UP

# partition: its kernel, its EAX, its CS, what comes first of what it was told
TOLD = {
    "multiboot2": ("origin-multiboot2.elf", "0x36d76289", 8, "multiboot2: reserved 0x0"),
    "pvh": ("origin-pvh.elf", "0x0", 8, "PVH: version 0x1, flags 0x0"),
    "addresses": ("origin-addresses.bin", "0x2badb002", 8, "multiboot: flags 0x24d"),
    "elf32": ("origin-elf32.elf", "0x2badb002", 8, "multiboot: flags 0x24d"),
    "virtual": ("origin-virtual.elf", "0x2badb002", 8, "multiboot: flags 0x24d"),
    "linux32": ("origin-linux32", "0x0", 16, "Linux: protocol 0x20c, loader 0xff"),
}
MEMORY = ["0x0 0xa0000 0x1", "0xc0000 0x40000 0x3", "0x100000 0xf00000 0x1",
          "0xfec00000 0x1000 0x2", "0xfee00000 0x1000 0x2"]
KEYS = {
    "addresses": {"cmdline": ""},
    "elf32": {"cmdline": "smp probe"},
    "linux32": {"module": ""},
}


@pytest.fixture(scope="module")
def machine(lab):
    config, core = "[system]\nwhen_done = poweroff\n", 0
    for name, (kernel, *_) in TOLD.items():
        keys = {"initrd": "flat.bin", "module": "hello.elf one two=2\nmodule = flat.bin again",
                "cmdline": f"from {name}", **KEYS.get(name, {})}
        cpus = "3-4" if name == "elf32" else core
        core += 2 if name == "elf32" else 1
        config += partition(name, cpus, kernel, **keys)
    config += partition("reset", core, "origin-reset", load="reset")
    kernels = [kernel for kernel, *_ in TOLD.values()]
    image = lab.image("origins", config, [*kernels, "origin-reset", "flat.bin", "hello.elf"],
                      kernel=PLAIN)
    return lab.boot("origins", image, cpus=core + 1, memory=512)


def module_line(name, file, args=""):
    """As the guest prints it."""
    with open(os.path.join(GUESTS, file), "rb") as content:
        data = content.read()
    total = 0x811C9DC5
    for byte in data:
        total = (total ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"module: {name}{args}, bytes {len(data):#x}, sum {total:#x}"


def said(machine, name):
    machine.wait_for(r"^done$", name, timeout=120)
    return machine.lines(name)


@pytest.mark.parametrize("name", TOLD)
def test_started_as_its_protocol_says(machine, name):
    _, eax, cs, first = TOLD[name]
    lines = said(machine, name)
    cr0 = 0x80000011 if name == "virtual" else 0x11  # PE, ET; PG is its own doing
    assert lines[:2] == [f"origin: eax {eax}, cs {cs:#x}, ss {cs + 8:#x}, cr0 {cr0:#x}, interrupts off", first]
    if "multiboot" in first:
        assert {"loader: Mullion", "KiB: 0x280 0x3c00"} <= set(lines)


@pytest.mark.parametrize("name", TOLD)
def test_told_all_of_its_memory(machine, name):
    lines = said(machine, name)
    assert [line[8:] for line in lines if line.startswith("memory: ")] == MEMORY
    assert ("ok the RSDP is one" in lines) == (TOLD[name][1] != "0x2badb002")


@pytest.mark.parametrize("name", TOLD)
def test_told_its_command_line_and_modules(machine, name):
    lines = said(machine, name)
    cmdline = KEYS.get(name, {}).get("cmdline", f"from {name}")
    assert f'command line: "{cmdline}"' in lines
    modules = [line for line in lines if line.startswith("module: ")]
    if name == "linux32":
        assert modules == [module_line("initrd", "flat.bin")]
    else:
        assert modules == [module_line("flat.bin", "flat.bin"), module_line("hello.elf", "hello.elf", " one two=2"),
                           module_line("flat.bin", "flat.bin", " again")]


@pytest.mark.parametrize("name", TOLD)
def test_low_memory_is_the_guests_own(machine, name):
    """Nobody needs what lay there once the guest has read it."""
    assert "ok 640 KiB from 0 are RAM" in said(machine, name)


def test_one_sipi_with_vector_0(machine):
    assert "ok one SIPI with vector 0 starts a CPU" in said(machine, "elf32")


def test_probing_ports_and_addresses(machine):
    """What is not there reads all ones; the guest lives on."""
    lines = said(machine, "elf32")
    ports = [int(port, 16) for port in lines[[line.startswith("ports:") for line in lines].index(True)].split()[1:]]
    assert not set(ports) & {0x20, 0x21, 0x40, 0x43, 0x60, 0x64, 0xA0, 0xCF8, 0xE9, 0x1F0, 0x2F8, 0x510}
    assert set(range(0x3F9, 0x3FF)) & set(ports)
    assert "addresses: 0xfec00000 0xfee00000" in lines


def test_flat_binary_at_the_reset_vector(machine):
    machine.wait_for(r"^reset: the state of RESET$", "reset", timeout=120)
    machine.wait_for(r"^reset: CS base FFFF0000H, then F0000H$", "reset", timeout=120)


def test_all_end_by_their_own_wish(machine):
    machine.wait_for(r"^all partitions have stopped, 0 of them .*: power off$", HYPERVISOR, timeout=120)


def test_memory_tester(lab):
    """memtest86+, which nobody made for us, is a bzImage for 1 MiB and nowhere else, with a 64-bit entry or
    with none: both get as far as their screen. Then they wait by counting, for want of a timer that they know."""
    names = ["memtest64", "memtest32"]
    config = "".join(partition(name, core, name, memory="24M") for core, name in enumerate(names))
    with lab.boot("memtest", lab.image("memtest", config, names, kernel=PLAIN), cpus=2) as machine:
        for name in names:
            machine.wait_for(f"^{name}: vCPU 0: write of guest-physical 0xb8000, where nothing is", HYPERVISOR)
        assert not machine.find(r"memtest.*stopped", HYPERVISOR)


def archive(name, text):
    """A cpio archive of one file."""
    def entry(name, data, mode):
        fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
    return entry(name, text.encode(), 0o100644) + entry("TRAILER!!!", b"", 0)


def test_linux_by_its_32_bit_entry(lab):
    """Debian's kernel, in a copy that does not say that it has a 64-bit entry; and two archives are one initrd."""
    with open(os.path.join(GUESTS, "linux/vmlinuz"), "rb") as file:
        kernel = bytearray(file.read())
    kernel[0x236] &= ~1 & 0xFF  # xloadflags: XLF_KERNEL_64
    for name, content in {"vmlinuz-32": kernel, "more.img": archive("more", "from the second archive\n")}.items():
        with open(os.path.join(GUESTS, name), "wb") as file:
            file.write(content)
    config = partition("linux", 0, "vmlinuz-32", memory="256M", initrd="initrd.img", module="more.img",
                       cmdline=LINUX_CMDLINE)
    image = lab.image("linux32", config, ["vmlinuz-32", "initrd.img", "more.img"], kernel=PLAIN)
    with lab.boot("linux32", image, cpus=1, memory=512) as machine:
        machine.wait_for(LINUX_UP, "linux", timeout=240)
        machine.wait_for(LINUX_PROMPT, "linux")
        machine.send("cat /more\r")
        machine.wait_for(r"^from the second archive$", "linux")
