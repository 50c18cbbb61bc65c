# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel in Bochs, without a hypervisor, as Mullion's only partition, and as KVM's only guest: what the
measurements of it share."""
import importlib
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path += [os.path.join(TOP, "tests/rig"), os.path.join(TOP, "tests/system")]

from emulator import TICKS_PER_SECOND, Machine  # noqa: E402
from iso import make_iso, make_linux_iso  # noqa: E402

OUT = os.path.join(TOP, "build/bench")
GUEST = os.path.join(TOP, "build/guests/linux")
KERNEL = os.path.join(GUEST, "vmlinuz")

# Without xsavec, xsaves as in guests/mullion.conf. Without erms and rep_good the kernel copies in the same way
# everywhere: natively it finds fast strings off in Bochs' IA32_MISC_ENABLE, in a partition on, and a tick is
# an iteration of REP MOVSB.
CMDLINE = "console=ttyS0 cryptomgr.notests clearcpuid=xsavec,xsaves,erms,rep_good"

# Natively CPUID 15H of Bochs says 3.5 GHz, and a second would have 3.5 G ticks; MWAIT may hang with 2 CPUs.
NATIVE = f"tsc_early_khz={TICKS_PER_SECOND // 1000} idle=halt"

CONFIG = """\
[partition linux]
cpus    = 0-{last}
memory  = 384M
kernel  = vmlinuz
initrd  = initrd.img
cmdline = {cmdline}
console = vuart
"""


def boot(name, initrd, cpus=1, where="mullion", cmdline=""):
    """The Machine, just started, with all its cores for Linux; `where` is native, mullion or kvm, which has one core
    more for the Linux that it is in. initrd: a file of build/guests/linux."""
    os.makedirs(OUT, exist_ok=True)
    image, initrd = os.path.join(OUT, f"{name}.iso"), os.path.join(GUEST, initrd)
    cmdline = f"{CMDLINE} {cmdline} quiet"  # last, so that earlyprintk shows what was said until then
    if where == "kvm":
        kvm = importlib.import_module("kvm")
        kvm.linux_image(image, cpus, cmdline, initrd, memory="384M")
        return kvm.machine(image, os.path.join(OUT, name), cpus)
    if where == "native":
        make_linux_iso(image, KERNEL, initrd, f"{cmdline} {NATIVE}")
    else:
        config = CONFIG.format(last=cpus - 1, cmdline=cmdline)
        make_iso(image, config, {"vmlinuz": KERNEL, "initrd.img": initrd})
    return Machine(image, os.path.join(OUT, name), cpus=cpus, memory=512, any_msr=where == "native")


def table_row(name, values):
    print(f"  {name:22}" + "".join(f"{value:>14}" for value in values), flush=True)
