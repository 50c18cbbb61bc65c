# SPDX-License-Identifier: Apache-2.0
"""What all system tests share: where things are, images, machines. A test file shares the boots it
needs among its tests by fixtures of module scope; pytest runs a file on one worker."""
import os
import re
import subprocess
import sys
from itertools import takewhile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests/rig"))

import iso  # noqa: E402
from emulator import Machine  # noqa: E402

GUESTS = os.path.join(TOP, "build/guests")
RUNS = os.path.join(TOP, "build/system")
PLAIN, DEBUG = (os.path.join(TOP, "build", path) for path in ("mullion.elf", "debug/mullion.elf"))

SPLIT = {"test_smp_linux", "test_rows", "test_steady"}  # their tests share a machine by parameter, not by file

MODULES = {"vmlinuz": "linux/vmlinuz", "initrd.img": "linux/initrd.img", "steady.img": "linux/steady.img",
           "empty": "/dev/null"}  # the others: own name

# Quick to boot; clearcpuid as in guests/mullion.conf.
LINUX_CMDLINE = "console=ttyS0 quiet cryptomgr.notests clearcpuid=xsavec,xsaves"


def partition(name, cpus, kernel, memory="16M", **keys):
    """A section of a config; keys not named are left out, `console` is vuart."""
    keys = {"cpus": cpus, "memory": memory, "kernel": kernel, "console": "vuart", **keys}
    lines = [f"{key} = {value}" for key, value in keys.items() if value != ""]
    return "\n".join([f"[partition {name}]", *lines, "", ""])


CR4_VMXE = 1 << 13


def cr4_of_cores(machine):
    """By the dump of each core that Bochs writes when it ends."""
    with open(os.path.join(machine.directory, "bochs.log"), encoding="utf-8", errors="replace") as file:
        return {int(cpu): int(value, 16)
                for cpu, value in re.findall(r"\[CPU(\d+) *\] .*CR4=0x([0-9a-f]+)", file.read())}


def make_iso(out, config, modules, *rest, **options):
    """The image, as iso.py makes it. All tables that its config leads to, unless it is refused, give nobody what is not
    his (tests/prove.c)."""
    iso.make_iso(out, config, modules, *rest, **options)
    if config is None:
        return
    path = f"{os.path.splitext(out)[0]}.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write(config)
    sizes = [f"{module}={os.path.getsize(file)}" for module, file in modules.items()]
    done = subprocess.run([os.path.join(TOP, "build/prove"), path, *sizes], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stdout + done.stderr


class Lab:
    """Makes images and boots them, all below one directory; ends what it started."""

    def __init__(self, directory):
        self.directory = directory
        self.machines = []
        os.makedirs(directory, exist_ok=True)

    def image(self, name, config, modules=(), entry=0, kernel=DEBUG):
        """modules: names of files of GUESTS; entry: of the boot menu. Returns the path of the image. By default with
        the hypervisor that audits the VMCS before each entry; it is no good where time is measured: PLAIN."""
        out = os.path.join(self.directory, f"{name}.iso")
        paths = {module: os.path.join(GUESTS, MODULES.get(module, module)) for module in modules}
        make_iso(out, config, paths, kernel, entry=entry)
        return out

    def boot(self, name, image, **machine):
        """Start a machine; keywords as of Machine."""
        machine = Machine(image, os.path.join(self.directory, name), **machine)
        self.machines.append(machine)
        return machine

    def close(self):
        for machine in self.machines:
            machine.close()


@pytest.hookimpl(tryfirst=True)  # xdist looks at the marks in its own
def pytest_collection_modifyitems(items):
    """What one worker does in a row: a file, or of the longest files one of its machines; these go first."""
    for item in items:
        machine = f"-{item.callspec.id}" if item.path.stem in SPLIT else ""
        item.add_marker(pytest.mark.xdist_group(item.path.stem + machine))
    items.sort(key=lambda item: item.path.stem not in SPLIT)


class Shell:
    """The shell of a Linux partition, at its prompt."""

    def __init__(self, machine, partition_name="linux"):
        self.machine, self.name, self.asked = machine, partition_name, 0

    def run(self, command, timeout=60):
        """The lines that the command prints, without the echo of what was typed."""
        self.asked += 1
        begin, end = f"begin-{self.asked}", f"end-{self.asked}"
        mark = self.machine.here()
        self.machine.send(f"echo {begin[:-1]}''{begin[-1]}; {command}; echo {end[:-1]}''{end[-1]}\r")
        first = self.machine.wait_for(f"^{begin}$", self.name, mark).index + 1
        self.machine.wait_for(f"^{end}$", self.name, first, timeout)
        return list(takewhile(lambda line: line != end, self.machine.lines(self.name, first)))


@pytest.fixture(scope="module")
def lab(request):
    made = Lab(os.path.join(RUNS, request.module.__name__))
    yield made
    made.close()
