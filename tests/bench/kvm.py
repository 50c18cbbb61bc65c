# SPDX-License-Identifier: Apache-2.0
"""The peer: Debian's kernel with KVM, in the same machine, and in it one partition as a guest (tests/bench/kvm).
The host's own work is on core 0, the guest's vCPUs are on the cores from 1 on."""
import os
import subprocess
import tempfile

import instrument
from instrument import OUT, TOP
from emulator import TICKS_PER_SECOND, Machine
from iso import make_linux_iso

KERNEL = os.path.join(TOP, "build/guests/linux/vmlinuz")
HOST = os.path.join(TOP, "build/bench/peer/kvm.img")
SECONDS = 120  # of CPU time, until Linux with KVM is up

# Without tsc_early_khz the kernel believes CPUID 15H, which is 70 times too fast here (and so would its
# ticks be too rare); irqaffinity keeps devices off the guest's cores.
HOST_CMDLINE = f"console=ttyS0 quiet cryptomgr.notests clearcpuid=xsavec,xsaves irqaffinity=0 idle=halt " \
    f"tsc_early_khz={TICKS_PER_SECOND // 1000}"
MITIGATIONS = {"default": "", "off": " mitigations=off"}
CONFIG = """\
[partition guest]
cpus    = {cpus}
memory  = {memory}
kernel  = {kernel}
console = vuart
"""


def config(vcpus, memory, kernel, initrd=None, cmdline=None):
    """The text of mullion.conf for a guest of KVM, on the cores from 1 on."""
    text = CONFIG.format(cpus=f"1-{vcpus}" if vcpus > 1 else "1", memory=memory, kernel=kernel)
    return text + "".join(f"{key} = {value}\n" for key, value in (("initrd", initrd), ("cmdline", cmdline))
                          if value)


def archive(config_text, modules):
    """cpio of what the client runs. modules: name -> path."""
    with tempfile.TemporaryDirectory(prefix="mullion-kvm-") as tree:
        os.mkdir(os.path.join(tree, "guest"))
        with open(os.path.join(tree, "guest/mullion.conf"), "w", encoding="utf-8") as file:
            file.write(config_text)
        for name, path in modules.items():
            os.symlink(os.path.abspath(path), os.path.join(tree, "guest", name))
        names = ["guest", "guest/mullion.conf", *(f"guest/{name}" for name in modules)]
        return subprocess.run(["cpio", "--quiet", "-o", "-L", "-H", "newc"], cwd=tree, check=True,
                              input="".join(f"{name}\n" for name in names).encode(),
                              stdout=subprocess.PIPE).stdout


def guest_image(path, config_text, modules, mitigations="default"):
    """Write the ISO `path` that boots into KVM's guest: what make_iso() is for Mullion's."""
    with tempfile.NamedTemporaryFile(prefix="mullion-kvm-") as initrd:
        with open(HOST, "rb") as file:
            initrd.write(file.read())
        initrd.write(bytes(-initrd.tell() % 4) + archive(config_text, modules))
        initrd.flush()
        make_linux_iso(path, KERNEL, initrd.name, HOST_CMDLINE + MITIGATIONS[mitigations])


def linux_image(path, vcpus, cmdline, initrd, kernel=KERNEL, memory="256M", mitigations="default"):
    """A bzImage with its initrd as KVM's guest. The machine needs vcpus + 1 cores."""
    guest_image(path, config(vcpus, memory, "vmlinuz", "initrd.img", cmdline),
                {"vmlinuz": kernel, "initrd.img": initrd}, mitigations)


def machine(image, directory, vcpus, memory=768):
    """Start it."""
    return Machine(image, directory, cpus=vcpus + 1, memory=memory, any_msr=True)


def measure(rows=None, mitigations="default"):
    """The bench guest's rows, None = all: {row: ticks}."""
    os.makedirs(OUT, exist_ok=True)
    result = {}
    for cpus, some in instrument.machines(rows):
        place = os.path.join(OUT, f"kvm-{mitigations}-{cpus}")
        guest_image(f"{place}.iso", config(cpus, f"{instrument.MEMORY}M", "bench.elf",
                                           cmdline=instrument.cmdline(cpus, some)),
                    {"bench.elf": instrument.ELF}, mitigations)
        with machine(f"{place}.iso", place, cpus) as run:
            run.wait_for("^bench: guest of KVM", timeout=SECONDS)
            result |= {row: it.ticks for row, it in instrument.read(run).items()}
    return result
