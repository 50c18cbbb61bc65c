#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Record what emulated firmware and GRUB leave in memory: record.py [NAME...] rewrites the files
beside this one. Needs QEMU, OVMF, Bochs, GRUB and gcc; tests only read what is committed.

NAME.acpi is a row of pieces: address (8 bytes), length (4 bytes), then that many bytes of memory at
that address; numbers little-endian. The first piece is the RSDP. NAME.mb2 is the multiboot2
information as it is."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KEEP = (b"APIC", b"FACP", b"HPET", b"MCFG", b"DMAR")
OVMF = "/usr/share/OVMF/OVMF_%s_4M.fd"
MEMORY = 128 << 20

QEMU = {  # name: (seconds the firmware needs, arguments)
    "qemu-i440fx": (5, ["-machine", "pc", "-smp", "3,maxcpus=5"]),
    "qemu-q35-dmar": (5, ["-machine", "q35", "-smp", "4", "-device", "intel-iommu,intremap=on"]),
    "qemu-q35-ovmf": (40, ["-machine", "q35", "-smp", "2", "-drive",
                           "if=pflash,format=raw,readonly=on,file=" + OVMF % "CODE",
                           "-drive", "if=pflash,format=raw,snapshot=on,file=" + OVMF % "VARS"]),
}

GRUB = {"grub-bios": "qemu-i440fx", "grub-efi": "qemu-q35-ovmf"}  # on which machine

KERNEL = """.section .multiboot, "a"
.balign 8
head: .long 0xe85250d6, 0, end - head, -(0xe85250d6 + end - head)
.short 3, 0
.long 12, _start
.balign 8
.short 0, 0
.long 8
end:
.text
.globl _start
_start: mov %ebx, 0x500
1: hlt
jmp 1b
"""

GRUB_CFG = """set timeout=0
multiboot2 /boot/kernel console=com2 "two words"
module2 /boot/config mullion.conf
module2 /boot/vmlinuz /boot/vmlinuz root=/dev/sda1 quiet
boot
"""

BOCHSRC = """config_interface: textconfig
display_library: sdl2
cpu: model=corei7_skylake_x, count=4:1:1, ips=50000000
memory: guest=128, host=128
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
floppya: 1_44=%s/floppy, status=inserted
boot: floppy
clock: sync=none, time0=1700000000
log: /dev/null
panic: action=fatal
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
speaker: enabled=0
"""


def qmp(qemu, command, **arguments):
    qemu.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    qemu.stdin.flush()
    while True:
        answer = json.loads(qemu.stdout.readline())
        if "error" in answer:
            sys.exit(answer["error"]["desc"])
        if "return" in answer:
            return


def dump_qemu(work, seconds, arguments):
    with subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-m", str(MEMORY >> 20), "-nodefaults",
             "-display", "none", "-qmp", "stdio"] + arguments,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as qemu:
        qmp(qemu, "qmp_capabilities")
        time.sleep(seconds)
        qmp(qemu, "pmemsave", val=0, size=MEMORY, filename=work + "/dump")
        qmp(qemu, "quit")


def dump_bochs(work):
    with open(work + "/floppy", "wb") as f:  # bootable: stop where its first sector starts
        f.write((b"\xeb\xfe" + bytes(508) + b"\x55\xaa").ljust(1440 << 10, b"\0"))
    with open(work + "/bochsrc", "w") as f:
        f.write(BOCHSRC % work)
    with open(work + "/rc", "w") as f:
        f.write(f'lb 0x7c00\nc\nwritemem "{work}/dump" 0x0 {MEMORY:#x}\nq\n')
    subprocess.run(["bochs-bin", "-q", "-f", work + "/bochsrc", "-rc", work + "/rc"],
                   env=dict(os.environ, SDL_VIDEODRIVER="dummy"), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def find_rsdp(memory):
    found = []
    at = -1
    while (at := memory.find(b"RSD PTR ", at + 1)) >= 0:
        length = 36 if memory[at + 15] >= 2 else 20
        if sum(memory[at:at + length]) % 256 == 0:
            found.append((length, at))
    length, at = max(found)  # a firmware may keep one of each revision
    return at, length


def table(memory, at):
    length, = struct.unpack_from("<I", memory, at + 4)
    assert sum(memory[at:at + length]) % 256 == 0
    return at, length


def pick(memory):
    rsdp, length = find_rsdp(memory)
    pieces = [(rsdp, length)]
    rsdt, = struct.unpack_from("<I", memory, rsdp + 16)
    xsdt, = struct.unpack_from("<Q", memory, rsdp + 24) if length == 36 else (0,)
    wanted = set()
    for root, width in ((rsdt, 4), (xsdt, 8)):
        if root == 0:
            continue
        pieces.append(table(memory, root))
        for at in range(root + 36, sum(pieces[-1]), width):
            wanted.add(int.from_bytes(memory[at:at + width], "little"))
    for at in sorted(wanted):
        if memory[at:at + 4] in KEEP:
            pieces.append(table(memory, at))
        if memory[at:at + 4] == b"FACP":
            pieces.append(table(memory, struct.unpack_from("<I", memory, at + 40)[0]))
    return pieces


def record_acpi(name, work):
    if name == "bochs":
        dump_bochs(work)
    else:
        dump_qemu(work, *QEMU[name])
    with open(work + "/dump", "rb") as f:
        memory = f.read()
    with open(f"{HERE}/{name}.acpi", "wb") as f:
        for at, length in pick(memory):
            print(f"{name}: {memory[at:at + 4].decode()} at {at:#x}, {length} bytes")
            f.write(struct.pack("<QI", at, length) + memory[at:at + length])


def record_grub(name, work):
    boot = work + "/iso/boot/"
    seconds, arguments = QEMU[GRUB[name]]
    os.makedirs(boot + "grub")
    for path, text in ((work + "/kernel.S", KERNEL), (boot + "grub/grub.cfg", GRUB_CFG),
                       (boot + "config", "c" * 300), (boot + "vmlinuz", "v" * 5000)):
        with open(path, "w") as f:
            f.write(text)
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-Wl,-n,-Ttext=0x100100",
                    "-Wl,--build-id=none,--section-start=.multiboot=0x100000",
                    "-o", boot + "kernel", work + "/kernel.S"], check=True)
    subprocess.run(["grub-mkrescue", "-o", work + "/iso.iso", work + "/iso"], check=True,
                   stderr=subprocess.DEVNULL)
    dump_qemu(work, seconds + 10, arguments + ["-cdrom", work + "/iso.iso"])
    with open(work + "/dump", "rb") as f:
        memory = f.read()
    info, = struct.unpack_from("<I", memory, 0x500)
    length, = struct.unpack_from("<I", memory, info)
    print(f"{name}: {length} bytes at {info:#x}")
    with open(f"{HERE}/{name}.mb2", "wb") as f:
        f.write(memory[info:info + length])


for wanted in sys.argv[1:] or list(QEMU) + ["bochs"] + list(GRUB):
    with tempfile.TemporaryDirectory() as directory:
        (record_grub if wanted in GRUB else record_acpi)(wanted, directory)
