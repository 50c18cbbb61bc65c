# SPDX-License-Identifier: Apache-2.0
"""The ways into Mullion: firmware, chipset, medium, number of cores, load address. QEMU's TCG has no VMX, so that
all ends in the refusal there, after the cores have started; what was found until then is read from the machine's
memory. Bochs has VMX, one chipset and one firmware. `make matrix` prints what came of each."""
import os
import struct
from typing import NamedTuple

import pytest
from conftest import GUESTS, RUNS, make_iso, partition
from messages import CORES_STARTED, HELLO_DONE, HYPERVISOR, LOADED, MISSING, NO_VMX, NOTHING_STARTED
from patch import ELF, patch, relocation, symbols

MIB = 1 << 20
CONFIG = partition("p", 0, "hello.elf")
HIGH = (MIB, 0xffffffff, 2)        # what the header asks for: as high as there is room
LOW = (MIB, 0xffffffff, 1)
BELOW_16M = (10 * MIB, 16 * MIB - 1, 2)
AT_80M = (80 * MIB, 0xffffffff, 1)


class Path(NamedTuple):
    firmware: str = "bios"
    chipset: str = "i440fx"
    medium: str = "cd"             # or usb, or usb-iso: the CD's image on a stick
    cpus: str = "2"                # as QEMU's -smp has it
    apic_ids: tuple = (0, 1)
    memory: int = 512              # MiB
    place: tuple = HIGH            # lowest and highest address, preference
    loaded: tuple = (256, 512)     # between which MiB the image must be
    extra: tuple = ()


def cpu_device(socket):
    return "-device", f"max-x86_64-cpu,socket-id={socket},core-id=0,thread-id=0"


PATHS = {
    "one-core": Path(cpus="1", apic_ids=(0,)),
    "q35": Path(chipset="q35", cpus="8", apic_ids=tuple(range(8))),
    # Counting instructions: 64 cores on a few of the host's would not answer in time, which is the host's.
    "64-cores": Path(cpus="64", apic_ids=tuple(range(64)), extra=("-icount", "shift=2")),
    "three-cores-a-socket": Path(chipset="q35", cpus="6,sockets=2,cores=3", apic_ids=(0, 1, 2, 4, 5, 6)),
    "apic-ids-to-254": Path(cpus="1,maxcpus=255,sockets=255", apic_ids=(0, 100, 254),
                            extra=cpu_device(100) + cpu_device(254)),
    "i440fx-above-4g": Path(memory=5120, loaded=(2816, 3072)),
    "q35-above-4g": Path(chipset="q35", medium="usb", memory=4096, loaded=(1792, 2048)),
    "lowest": Path(place=LOW, loaded=(1, 4)),
    "below-16m": Path(place=BELOW_16M, loaded=(10, 16)),
    "at-80m": Path(place=AT_80M, loaded=(80, 84), memory=128),
    "iso-on-usb": Path(medium="usb-iso"),
    "uefi-one-core": Path("uefi", "q35", cpus="1", apic_ids=(0,)),
    "uefi-i440fx": Path("uefi", medium="usb", cpus="4", apic_ids=tuple(range(4))),
    "uefi-16-cores": Path("uefi", "q35", cpus="16", apic_ids=tuple(range(16))),
    "uefi-no-vga": Path("uefi", "q35", medium="usb", extra=("-vga", "none")),
    "uefi-lowest": Path("uefi", "q35", place=LOW, loaded=(1, 16)),
    "uefi-above-4g": Path("uefi", "q35", medium="usb-iso", memory=4096, loaded=(1792, 2048)),
}


@pytest.fixture(scope="module")
def images(lab):
    """(medium, place) -> the image, made when first asked for."""
    made = {}

    def image(medium, place):
        key = medium == "usb", place
        if key not in made:
            name = os.path.join(lab.directory, f"path{len(made)}")
            kernel = patch(f"{name}.elf", "mb2_header", relocation(*place))
            made[key] = f"{name}.{'img' if key[0] else 'iso'}"
            make_iso(made[key], CONFIG, {"hello.elf": os.path.join(GUESTS, "hello.elf")}, kernel=kernel)
        return made[key]
    return image


@pytest.fixture(scope="module")
def matrix():
    rows = []
    yield rows.append
    with open(os.path.join(RUNS, "matrix.txt"), "w", encoding="utf-8") as file:
        for row in [("firmware", "machine", "from", "cores, APIC ids", "MiB", "loaded at", "result", "CPU s"), *rows]:
            file.write("{:9} {:7} {:8} {:17} {:5} {:11} {:20} {}\n".format(*row))


def short(ids):
    return f"{len(ids)}: " + (f"0-{ids[-1]}" if 0 < ids[-1] == len(ids) - 1 else ",".join(map(str, ids)))


@pytest.mark.parametrize("name", PATHS)
def test_machine_is_found_and_cores_start(lab, images, matrix, name):
    path = PATHS[name]
    with lab.boot(name, images(path.medium, path.place), emulator="qemu", uefi=path.firmware == "uefi",
                  disk=path.medium != "cd", cpus=path.cpus, memory=path.memory,
                  extra=("-machine", "pc" if path.chipset == "i440fx" else "q35", *path.extra)) as machine:
        machine.wait_for(NOTHING_STARTED, HYPERVISOR, timeout=90)
        base = int(machine.find(LOADED, HYPERVISOR).match[1], 16)
        count = str(len(path.apic_ids))
        assert machine.find(CORES_STARTED, HYPERVISOR).match.groups() == (count, count), machine.tail()
        assert machine.find(MISSING + f".*{NO_VMX}", HYPERVISOR), machine.tail()
        assert machine.lines("p") == []
        assert path.loaded[0] * MIB <= base < path.loaded[1] * MIB and base % (2 * MIB) == 0
        check_state(machine, base, path)
        matrix((path.firmware, path.chipset, path.medium, short(path.apic_ids), path.memory, f"{base:#x}",
                "refusal: no VMX", f"{machine.cpu_seconds():.1f}"))


def check_state(machine, base, path):
    """What the hypervisor has in its memory: itself, the cores that came, RAM."""
    at = {name: base + address - symbols()["image_start"] for name, address in symbols().items()}

    def read(name, form):
        return struct.unpack(form, machine.memory(at[name], struct.calcsize(form)))

    with open(ELF, "rb") as file:
        assert machine.memory(at["cpu_main"], 64) in file.read()  # it runs where it says
    count = len(path.apic_ids)
    assert read("arrived", "<Q") == ((1 << count) - 1,)
    entries = read("smp_entries", "<" + "IIQ" * count)
    assert sorted(entries[::3]) == sorted(path.apic_ids)
    assert entries[0] == 0  # the boot core first
    ranges = struct.iter_unpack("<QQQ", machine.memory(at["info"], 24 * 64))  # that begins with the memory map
    ram = [range(start, start + size) for start, size, kind in ranges if kind == 1]
    assert path.memory * MIB - 20 * MIB < sum(map(len, ram)) <= path.memory * MIB
    assert all(any(page in piece for piece in ram) for page in range(base, at["image_end"], 4096))
    assert any(piece.start >= 1 << 32 for piece in ram) == (path.memory > 3072)


@pytest.mark.parametrize("medium, place, loaded", [("ata", LOW, (1, 4)), ("ata-iso", BELOW_16M, (10, 16))])
def test_guest_runs_in_bochs(lab, images, matrix, medium, place, loaded):
    """Loaded below 16 MiB, and from a disk, with VMX and two cores: the guest does its work on the second."""
    image = images({"ata": "usb"}.get(medium, "cd"), place)
    with lab.boot(medium, image, disk=True, cpus=2) as machine:
        machine.wait_for(HELLO_DONE, "p")
        base = int(machine.find(LOADED, HYPERVISOR).match[1], 16)
        assert loaded[0] * MIB <= base < loaded[1] * MIB
        matrix(("bios", "i440fx", medium, short((0, 1)), 512, f"{base:#x}", "guest runs (Bochs)",
                f"{machine.cpu_seconds():.1f}"))
