#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes boot images: GRUB for BIOS and UEFI, Mullion, its config and the modules. `make iso` and every
system test come through make_iso(); `make usb` puts the same files on a disk's FAT file system, where a
user can change them, behind a partition table that no BIOS finds strange."""
import argparse
import os
import re
import shutil
import struct
import subprocess
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# All that boot/grub.cfg needs, what lies under it on a CD (GRUB for UEFI asks for each part_* by itself) and on
# a disk; the rest of GRUB would be 15 MB and half a second of emulation.
GRUB_MODULES = "multiboot2 linux normal test all_video".split()
CD_MODULES = GRUB_MODULES + ("iso9660 part_acorn part_amiga part_apple part_bsd part_dfly part_dvh part_gpt "
                             "part_msdos part_plan part_sun part_sunpc").split()
DISK_MODULES = GRUB_MODULES + ["fat", "part_msdos"]

MENU_SECONDS = 2                # of an image for people

SECTOR = 512
DISK_START = 2048               # sectors before the file system: the partition table and GRUB for BIOS
DISK_BYTES, DISK_UNIT = 128 << 20, 16 * 63 * SECTOR  # room for the user's own files; in whole cylinders
DISK_TYPE = 0x0c                # FAT32: as an EFI system partition Windows would not show it


def grub_config(modules, timeout, entry):
    """boot/grub.cfg with its places filled in."""
    lines = "\n    ".join(f"module2 /boot/{name} {name}" for name in modules)
    with open(os.path.join(TOP, "boot/grub.cfg"), encoding="utf-8") as file:
        text = file.read()
    for place, words in (("MODULES", lines), ("TIMEOUT", str(timeout))):
        text = text.replace(f"@{place}@", words)
    return f"set default={entry}\n{text}"


def make_iso(out, config_text, modules, kernel=None, video="text", timeout=0, entry=0):
    """Write the image `out`, a CD or, if its name says .img, a disk. modules: name -> path of a file;
    kernel: path of mullion.elf; config_text None leaves the config out; video: GRUB's gfxpayload on a BIOS machine;
    timeout: seconds for which the menu is shown; entry: of the menu, which is booted."""
    for name in modules:
        if not re.fullmatch(r"[\w.+-]+", name):
            raise ValueError(f"{name!r} cannot be the name of a module")
    files = {"mullion.elf": kernel or os.path.join(TOP, "build/mullion.elf"),
             "probe.elf": os.path.join(TOP, "build/probe.elf"), **modules}
    config = grub_config(modules, timeout, entry).replace("gfxpayload=text", f"gfxpayload={video}")
    if config_text is None:
        config = re.sub(r".*mullion\.conf mullion\.conf\n", "", config)
    make_grub_image(out, config, files, {"mullion.conf": config_text or ""})


def make_linux_iso(out, kernel, initrd, cmdline):
    """The same kernel without Mullion, to compare with."""
    config = ("set timeout=0\nmenuentry linux {\n"
              f"linux /boot/vmlinuz {cmdline}\ninitrd /boot/initrd.img\n}}\n")
    make_grub_image(out, config, {"vmlinuz": kernel, "initrd.img": initrd}, {})


def make_multiboot_iso(out, kernel, cmdline):
    """A multiboot kernel without Mullion."""
    config = f"set timeout=0\nmenuentry kernel {{\nmultiboot /boot/kernel.elf {cmdline}\n}}\n"
    make_grub_image(out, config, {"kernel.elf": kernel}, {}, ["multiboot"])


def run(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n" + done.stdout + done.stderr)


def make_grub_image(out, config, files, texts, more_modules=()):
    """GRUB, its grub.cfg, and in /boot files (name -> path) and texts (name -> content)."""
    with tempfile.TemporaryDirectory(prefix="mullion-image-") as work:
        tree = os.path.join(work, "tree")
        boot = os.path.join(tree, "boot")
        os.makedirs(os.path.join(boot, "grub"))
        for name, text in {**texts, "grub/grub.cfg": config}.items():
            with open(os.path.join(boot, name), "w", encoding="utf-8") as file:
                file.write(text)
        for name, path in files.items():
            shutil.copy(path, os.path.join(boot, name))
        if out.endswith(".img"):
            pack_disk(out, tree, work)
        else:
            grub_modules = " ".join([*CD_MODULES, *more_modules])
            run(["grub-mkrescue", f"--install-modules={grub_modules}", "--locales=", "--fonts=", "--themes=",
                 "-o", out, tree])


def pack_disk(out, tree, work):
    """GRUB for BIOS as grub-bios-setup would put it, GRUB for UEFI where firmware looks on removable media."""
    core, efi = os.path.join(work, "core.img"), os.path.join(tree, "EFI/BOOT")
    os.makedirs(efi)
    run(["grub-mkimage", "-O", "i386-pc", "-p", "(,msdos1)/boot/grub", "-o", core, "biosdisk", *DISK_MODULES])
    run(["grub-mkimage", "-O", "x86_64-efi", "-p", "/boot/grub", "-o", os.path.join(efi, "BOOTX64.EFI"),
         *DISK_MODULES])
    with open("/usr/lib/grub/i386-pc/boot.img", "rb") as file:
        first = bytearray(file.read(SECTOR))  # goes on at sector 1, as it comes
    with open(core, "rb") as file:
        core_bytes = file.read()
    used = sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(tree) for name in names)
    total = -(-(DISK_BYTES + used) // DISK_UNIT) * DISK_UNIT // SECTOR
    first[440:] = bytes(70) + b"\x55\xaa"  # behind the code for hard disks: that for floppies
    struct.pack_into("<B3sB3sII", first, 446, 0x80, b"\xfe\xff\xff", DISK_TYPE, b"\xfe\xff\xff",
                     DISK_START, total - DISK_START)  # active: some BIOSes want that; no CHS address
    if len(core_bytes) > (DISK_START - 1) * SECTOR:
        raise RuntimeError(f"{core} is too long")
    with open(out, "wb") as file:
        file.write(first + core_bytes)
        file.truncate(total * SECTOR)
    place = f"{out}@@{DISK_START * SECTOR}"
    run(["mformat", "-F", "-H", str(DISK_START), "-T", str(total - DISK_START), "-h", "255", "-s", "63",
         "-v", "MULLION", "-i", place, "::"])
    run(["mcopy", "-s", "-Q", "-i", place, os.path.join(tree, "boot"), os.path.join(tree, "EFI"), "::/"])


def main():
    parser = argparse.ArgumentParser(description="make a bootable image of Mullion")
    parser.add_argument("-o", "--out", required=True)
    parser.add_argument("--kernel", help="mullion.elf (default: the one in build/)")
    parser.add_argument("--config", required=True, help="the file that becomes mullion.conf")
    parser.add_argument("modules", nargs="*", metavar="NAME=FILE")
    args = parser.parse_args()
    with open(args.config, encoding="utf-8") as file:
        config_text = file.read()
    modules = dict(word.split("=", 1) for word in args.modules)
    make_iso(args.out, config_text, modules, args.kernel, timeout=MENU_SECONDS)


if __name__ == "__main__":
    main()
