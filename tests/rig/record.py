#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Record machines: record.py [NAME...] boots build/probe.elf on every machine the emulators can be
and writes what it prints to tests/machines/NAME.txt, for tests/unit/test_machines.c to replay. The modules are
stand-ins, for it looks at their heads only."""
import argparse
import os
import re
import tempfile

from emulator import TOP, Machine
from iso import make_iso

FACTS = r"(cpuid|msr|image|memory|module|acpi|pci|core|tsc claimed|free) "
MODULES = {"vmlinuz": bytes(0x202) + b"HdrS" + bytes(60000), "initrd.img": bytes(90000),
           "jitter.elf": b"\x7fELF" + bytes(30000)}

SMT = {"cpus": 4, "extra": ["cpu: count=1:2:2"]}

BOCHS = {model: SMT for model in (
    "core2_penryn_t9600 corei5_lynnfield_750 corei5_arrandale_m520 corei7_sandy_bridge_2600k "
    "corei7_ivy_bridge_3770k corei7_haswell_4770 broadwell_ult corei3_cnl corei7_skylake_x corei7_icelake_u tigerlake "
    "ryzen").split()} | {"p4_prescott_celeron_336": {"cpus": 1}}

Q35 = ["-machine", "q35"]
QEMU = {
    "qemu_i440fx_1": {"cpus": 1},
    "qemu_i440fx_64": {"cpus": 64},
    "qemu_i440fx_holes": {"cpus": 6, "extra": ["-smp", "6,cores=3,sockets=2"]},
    "qemu_q35_smt_dmar": {"cpus": 8, "extra": [*Q35, "-smp", "8,threads=2", "-device", "intel-iommu,intremap=on"]},
    "qemu_q35_5g": {"cpus": 2, "memory": 5120, "extra": Q35},
    "qemu_q35_uefi": {"cpus": 4, "uefi": True, "memory": 1024, "raw": True},
    "qemu_qemu64": {"cpus": 2, "model": "qemu64"},
    "qemu_nehalem": {"cpus": 2, "model": "Nehalem"},
    "qemu_skylake_server": {"cpus": 2, "model": "Skylake-Server"},
}


def record(name, image, work, raw=False, **machine):
    """raw: as a serial port catches it, which the tests read as well."""
    with Machine(image, os.path.join(work, name), **machine) as run:
        run.wait_for("^verdict: ", "mullion", timeout=200)
        facts = "\n".join(line for line in run.lines("mullion") if re.match(FACTS, line)) + "\n"
        text = run.console.raw.decode("ascii", "replace") if raw else \
            f"# {'Bochs' if run.emulator == 'bochs' else 'QEMU'}, recorded by tests/rig/record.py\n{facts}"
    with open(os.path.join(TOP, f"tests/machines/{name}.txt"), "w", encoding="utf-8", newline="") as file:
        file.write(text)
    print(f"{name}: {text.count(chr(10))} lines", flush=True)


def main():
    parser = argparse.ArgumentParser(description="record what probe.elf prints on emulated machines")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    machines = {name: {"model": name, **machine} for name, machine in BOCHS.items()} | \
               {name: {"emulator": "qemu", **machine} for name, machine in QEMU.items()}
    with tempfile.TemporaryDirectory(prefix="mullion-record-") as work:
        image = os.path.join(work, "probe.iso")
        for module, content in MODULES.items():
            with open(os.path.join(work, module), "wb") as file:
                file.write(content)
        make_iso(image, "", {module: os.path.join(work, module) for module in MODULES},
                 kernel=os.path.join(TOP, "build/probe.elf"))
        for name in args.names or machines:
            record(name, image, work, **machines[name])


if __name__ == "__main__":
    main()
