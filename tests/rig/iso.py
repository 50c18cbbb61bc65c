#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the one kind of boot image there is: GRUB for BIOS and UEFI, Mullion, its config and the
modules. `make iso` and every system test come through make_iso()."""
import argparse
import os
import re
import shutil
import subprocess
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# All that boot/grub.cfg needs and what GRUB for UEFI asks for by itself; the rest of GRUB would be
# 15 MB and half a second of emulation.
GRUB_MODULES = "multiboot2 linux normal iso9660 all_video part_acorn part_amiga part_apple part_bsd " \
    "part_dfly part_dvh part_gpt part_msdos part_plan part_sun part_sunpc"


def grub_config(modules, cmdline):
    """boot/grub.cfg with its places filled in."""
    lines = "\n    ".join(f"module2 /boot/{name} {name}" for name in modules)
    with open(os.path.join(TOP, "boot/grub.cfg"), encoding="utf-8") as file:
        text = file.read()
    return text.replace("@CMDLINE@", cmdline).replace("@MODULES@", lines)


def make_iso(out, config_text, modules, cmdline="", kernel=None):
    """Write the image `out`. modules: name -> path of a file; kernel: path of mullion.elf;
    config_text None leaves the config out."""
    for name in modules:
        if not re.fullmatch(r"[\w.+-]+", name):
            raise ValueError(f"{name!r} cannot be the name of a module")
    files = {"mullion.elf": kernel or os.path.join(TOP, "build/mullion.elf"), **modules}
    config = grub_config(modules, cmdline)
    if config_text is None:
        config = re.sub(r".*mullion\.conf mullion\.conf\n", "", config)
    make_grub_iso(out, config, files, {"mullion.conf": config_text or ""})


def make_linux_iso(out, kernel, initrd, cmdline):
    """The same kernel without Mullion, to compare with."""
    config = ("set timeout=0\nmenuentry linux {\n"
              f"linux /boot/vmlinuz {cmdline}\ninitrd /boot/initrd.img\n}}\n")
    make_grub_iso(out, config, {"vmlinuz": kernel, "initrd.img": initrd}, {})


def make_multiboot_iso(out, kernel, cmdline):
    """A multiboot kernel without Mullion."""
    config = f"set timeout=0\nmenuentry kernel {{\nmultiboot /boot/kernel.elf {cmdline}\n}}\n"
    make_grub_iso(out, config, {"kernel.elf": kernel}, {}, GRUB_MODULES + " multiboot")


def make_grub_iso(out, config, files, texts, grub_modules=GRUB_MODULES):
    """GRUB, its grub.cfg, and in /boot files (name -> path) and texts (name -> content)."""
    with tempfile.TemporaryDirectory(prefix="mullion-iso-") as tree:
        boot = os.path.join(tree, "boot")
        os.makedirs(os.path.join(boot, "grub"))
        for name, text in {**texts, "grub/grub.cfg": config}.items():
            with open(os.path.join(boot, name), "w", encoding="utf-8") as file:
                file.write(text)
        for name, path in files.items():
            shutil.copy(path, os.path.join(boot, name))
        done = subprocess.run(
            ["grub-mkrescue", f"--install-modules={grub_modules}", "--locales=", "--fonts=",
             "--themes=", "-o", out, tree],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError("grub-mkrescue failed:\n" + done.stdout + done.stderr)


def main():
    parser = argparse.ArgumentParser(description="make a bootable image of Mullion")
    parser.add_argument("-o", "--out", required=True)
    parser.add_argument("--kernel", help="mullion.elf (default: the one in build/)")
    parser.add_argument("--config", required=True, help="the file that becomes mullion.conf")
    parser.add_argument("--cmdline", default="", help="command line of the hypervisor")
    parser.add_argument("modules", nargs="*", metavar="NAME=FILE")
    args = parser.parse_args()
    with open(args.config, encoding="utf-8") as file:
        config_text = file.read()
    modules = dict(word.split("=", 1) for word in args.modules)
    make_iso(args.out, config_text, modules, args.cmdline, args.kernel)


if __name__ == "__main__":
    main()
