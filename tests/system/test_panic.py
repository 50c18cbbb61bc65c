# SPDX-License-Identifier: Apache-2.0
"""Our own faults: a function of the image is overwritten with code that does something forbidden.
The page tables must refuse it and the panic must say where, by name."""
import os
import subprocess

import pytest
from conftest import TOP, partition
from iso import make_iso
from messages import HYPERVISOR

# A function that runs after the tables are in use, what it is made to do, and what the panic says.
FAULTS = {
    "undefined": ("partitions_build", b"\x0f\x0b", r"#UD in the hypervisor"),
    "writes-text": ("partitions_build", b"\xc6\x05\xf9\xff\xff\xff\x00",
                    r"#PF in the hypervisor, error code 3"),
    "runs-data": ("partitions_build", b"\x54\xc3",  # push rsp; ret: executes the stack
                  r"#PF in the hypervisor, error code 11"),
    "overflows-stack": ("partitions_build", b"\xe8\xf7\xff\xff\xff",  # calls itself
                        r"#PF in the hypervisor, error code 2, CR2 ffffffffc0002ff8"),
    "after-the-seal": ("vcpu_run", b"\x0f\x0b", r"#UD in the hypervisor"),
}


PROLOGUE = bytes.fromhex("554889e5")  # push rbp; mov rbp, rsp: what a backtrace needs


def patched_image(out, symbol, code):
    """mullion.elf with a function, found by its symbol, that is a prologue and `code`."""
    elf = os.path.join(TOP, "build/mullion.elf")
    symbols = dict(reversed(line.split()[0::2]) for line in subprocess.run(
        ["nm", elf], capture_output=True, text=True, check=True).stdout.splitlines())
    headers = subprocess.run(["readelf", "-lW", elf], capture_output=True, text=True, check=True)
    text = next(line.split() for line in headers.stdout.splitlines() if line.split()[:1] == ["LOAD"])
    at = int(symbols[symbol], 16) - int(text[2], 16) + int(text[1], 16)
    with open(elf, "rb") as file:
        image = bytearray(file.read())
    image[at:at + len(PROLOGUE + code)] = PROLOGUE + code
    with open(out, "wb") as file:
        file.write(image)
    return out


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_of_ours_says_where(lab, fault):
    symbol, code, words = FAULTS[fault]
    kernel = patched_image(os.path.join(lab.directory, f"{fault}.elf"), symbol, code)
    image = os.path.join(lab.directory, f"{fault}.iso")
    hello = os.path.join(TOP, "build/guests/hello.elf")
    make_iso(image, partition("only", 0, "hello.elf"), {"hello.elf": hello}, kernel=kernel)
    with lab.boot(fault, image, cpus=1) as machine:
        panic = machine.wait_for(r"^PANIC on core 0: (.*)", HYPERVISOR, timeout=120)
        machine.wait_for("the machine is stopped", HYPERVISOR)
        assert machine.find(words, HYPERVISOR), panic.match[1]
        assert machine.find(r"^RIP [0-9a-f]{16} RSP", HYPERVISOR)
        if fault != "runs-data":  # there RIP is in no function
            assert machine.find(rf"^  [0-9a-f]{{16}} {symbol}\+0x", HYPERVISOR)
        if fault != "overflows-stack":  # there are too many frames before that one
            assert machine.find(r"^  [0-9a-f]{16} cpu_main\+0x", HYPERVISOR)
