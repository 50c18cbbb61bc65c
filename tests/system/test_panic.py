# SPDX-License-Identifier: Apache-2.0
"""What should never happen, made to happen by patching the built image: faults of our own, which the
page tables must refuse and the panic must name, a core that stays silent."""
import os
import time

import pytest
from conftest import CR4_VMXE, DEBUG, TOP, cr4_of_cores, make_iso, partition
from messages import HYPERVISOR, JITTER_LINE
from patch import PROLOGUE, instruction, patch

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

CR4_MCE = 1 << 6
EXIT_ROW = 24  # bytes; the first 8 are the handler


def boot_patched(lab, name, config, symbol, change, cpus, **elf):
    kernel = patch(os.path.join(lab.directory, f"{name}.elf"), symbol, change, **elf)
    image = os.path.join(lab.directory, f"{name}.iso")
    hello = os.path.join(TOP, "build/guests/hello.elf")
    make_iso(image, config, {"hello.elf": hello}, kernel=kernel)
    return lab.boot(name, image, cpus=cpus)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_of_ours_says_where(lab, fault):
    symbol, code, words = FAULTS[fault]
    body = PROLOGUE + code
    with boot_patched(lab, fault, partition("only", 0, "hello.elf"), symbol,
                      lambda old: body + old[len(body):], cpus=1) as machine:
        panic = machine.wait_for(r"^PANIC on core 0: (.*)", HYPERVISOR, timeout=120)
        machine.wait_for("the machine is stopped", HYPERVISOR)
        assert machine.find(words, HYPERVISOR), panic.match[1]
        assert machine.find(r"^RIP [0-9a-f]{16} RSP", HYPERVISOR)
        if fault != "runs-data":  # there RIP is in no function
            assert machine.find(rf"^  [0-9a-f]{{16}} {symbol}\+0x", HYPERVISOR)
        if fault != "overflows-stack":  # there are too many frames before that one
            assert machine.find(r"^  [0-9a-f]{16} cpu_main\+0x", HYPERVISOR)


def test_I03_failed_VMREAD_says_which_field(lab):
    """The dispatcher asks for a field that no CPU has."""
    with boot_patched(lab, "vmread", partition("only", 0, "hello.elf"), "vmx_exit",
                      instruction(b"\xba\x02\x44\x00\x00", b"\xba\x03\x44\x00\x00", 64), cpus=1) as machine:
        machine.wait_for(r"^PANIC on core 0: VMREAD failed, field 0x4403$", HYPERVISOR, timeout=120)
        machine.wait_for("the machine is stopped", HYPERVISOR)
        assert machine.find(r"^  [0-9a-f]{16} vmx_exit\+0x", HYPERVISOR)


def test_K09_M02_V084_panic_stops_every_core(lab):
    """Core 0 panics while jitter runs on core 1: that core takes one more exit, the NMI, and then
    none, as the emulator saw it to the end of a run that goes on for a while."""
    config = partition("first", 0, "machine.elf") + partition("steady", 1, "jitter.elf")
    guests = os.path.join(TOP, "build/guests")
    kernel = patch(os.path.join(lab.directory, "all.elf"), "exit_string",
                   lambda old: PROLOGUE + b"\x0f\x0b" + old[len(PROLOGUE) + 2:])
    image = os.path.join(lab.directory, "all.iso")
    make_iso(image, config, {name: os.path.join(guests, name) for name in ("machine.elf", "jitter.elf")},
             kernel=kernel)
    with lab.boot("all", image, cpus=2) as machine:
        machine.wait_for(r"^PANIC on core 0: #UD", HYPERVISOR, timeout=120)
        machine.wait_for("the machine is stopped", HYPERVISOR)
        later = machine.cpu_seconds() + 3
        while machine.running and machine.cpu_seconds() < later:
            time.sleep(0.1)
        machine.close()
        panicked = next(i for i, line in enumerate(machine.console.lines) if "PANIC" in line.text)
        rows = machine.witness()
        (_, at_panic), (_, at_end) = rows[panicked], rows[-1]
        assert rows[-1][0] - rows[panicked][0] > 50_000_000  # a second of jitter's lines, had it run
        assert sum(n for (cpu, _), n in at_end.items() if cpu == 1) <= 1 + \
            sum(n for (cpu, _), n in at_panic.items() if cpu == 1)


def test_Y17_exit_without_a_handler_stops_its_partition(lab):
    """The handler of EPT violations is replaced by that of reasons without one: the guest that reads its local APIC's page gets a
    record and stops, the one that does not goes on."""
    config = partition("reader", 0, "machine.elf") + partition("steady", 1, "jitter.elf")
    guests = os.path.join(TOP, "build/guests")
    kernel = patch(os.path.join(lab.directory, "row.elf"), "exit_rows",
                   lambda old: old[:48 * EXIT_ROW] + old[EXIT_ROW:][:8] + old[48 * EXIT_ROW + 8:])
    image = os.path.join(lab.directory, "row.iso")
    make_iso(image, config, {name: os.path.join(guests, name) for name in ("machine.elf", "jitter.elf")},
             kernel=kernel)
    with lab.boot("row", image, cpus=2) as machine:
        machine.wait_for(r"^reader: vCPU 0 on core 0: an exit that must not happen$", HYPERVISOR, timeout=120)
        machine.wait_for(r"exit 48 \(EPT violation\)", HYPERVISOR)
        machine.wait_for(r"^reader: stopped, crashed$", HYPERVISOR)
        machine.wait_for(JITTER_LINE, "steady", since=machine.here())


def test_machine_check_is_over_when_its_partition_starts_again(lab):
    """No emulator has one: CPUID gets its handler, which finds neither banks nor MCG_CAP here."""
    with boot_patched(lab, "mc", partition("hit", 0, "hello.elf", on_exit="restart"), "exit_rows",
                      lambda old: old[:10 * EXIT_ROW] + old[41 * EXIT_ROW:][:8] + old[10 * EXIT_ROW + 8:], cpus=1) as machine:
        machine.wait_for(r"^hit: vCPU 0 on core 0: machine check$", HYPERVISOR, timeout=120)
        machine.wait_for(r"^hit: restart 2$", HYPERVISOR)
        assert machine.find("PANIC", HYPERVISOR) is None


# In pt_ept: every page of RAM gets memory type 2, which is reserved.
RESERVED_TYPE = instruction(*(bytes([value, 0, 0, 0, 0, 0, 0, 0]) for value in (0x37, 0x17)), 256)


def test_X37_EPT_misconfiguration_stops_its_partition(lab):
    """Only the debug build looks at the tables beforehand: the first fetch misconfigures, and the record says so; the machine stays
    up for those that do not."""
    config = partition("first", 0, "hello.elf") + partition("second", 1, "hello.elf")
    with boot_patched(lab, "misconfigured", config, "pt_ept", RESERVED_TYPE, cpus=2) as machine:
        for name in ("first", "second"):
            machine.wait_for(rf"^{name}: vCPU 0 on core \d: an exit that must not happen$", HYPERVISOR, timeout=120)
            machine.wait_for(rf"^{name}: stopped, for good: the machine is damaged$", HYPERVISOR)
        assert machine.find(r"exit 49 \(EPT misconfiguration\)", HYPERVISOR)
        assert machine.find("PANIC", HYPERVISOR) is None


# What is made of the entries of an EPT, and what is said of it.
BAD_EPT = {
    "type": (RESERVED_TYPE, "0x[0-9a-f]*17 of level 1, guest address 0x0: a reserved memory type"),
    "ignored": (instruction(bytes([0x37, 0, 0, 0, 0, 0, 0, 0]), bytes([0x37, 1, 0, 0, 0, 0, 0, 0]), 256),
                "of level 1, guest address 0x0: bits that nothing here uses"),
    "table": (instruction(bytes([7, 0, 0, 0, 0, 0, 0, 0]), bytes([0xf, 0, 0, 0, 0, 0, 0, 0]), 256),
              "of level 4, guest address 0x0: reserved bits"),
}


@pytest.mark.parametrize("fault", BAD_EPT)
def test_X37_bad_EPT_is_found_before_anything_starts(lab, fault):
    change, words = BAD_EPT[fault]
    with boot_patched(lab, f"bad-{fault}", partition("only", 0, "hello.elf"), "pt_ept", change, cpus=1,
                      elf=DEBUG) as machine:
        machine.wait_for(f"^EPT check: entry .*{words}$", HYPERVISOR, timeout=120)
        machine.wait_for(r"nothing was started$", HYPERVISOR)


def test_core_that_does_not_answer_is_left_out(lab):
    """Core 3 does not find itself in the list of cores, and so never comes."""
    config = partition("gone", 3, "hello.elf") + partition("there", 2, "hello.elf")

    def change(code):  # cmp ecx, [smp_entry_count] becomes cmp ecx, 3 and a long NOP
        at = code.index(b"\x3b\x0d", 0, 256)
        return code[:at] + b"\x83\xf9\x03\x0f\x1f\x00" + code[at + 6:]

    with boot_patched(lab, "silent", config, "ap_high", change, cpus=4) as machine:
        machine.wait_for(r"^core 3 \(APIC id 3\) does not answer and is left out$", HYPERVISOR)
        machine.wait_for(r"^3 of 4 cores run$", HYPERVISOR)
        machine.wait_for(r"mullion\.conf:\d+: cpus: .*, not core 3$", HYPERVISOR)
        machine.wait_for(r"nothing was started$", HYPERVISOR)


def test_core_that_comes_late_stays_out(lab):
    """Core 1 dawdles until core 0 has sealed the hypervisor's memory and runs its guest."""
    def change(code):  # instead of asking for the highest CPUID leaf: mov ecx, 80000000; loop
        asks = b"\x31\xc0\x0f\xa2\x83\xf8\x0b"
        assert code.startswith(asks)
        return b"\xb9" + (80_000_000).to_bytes(4, "little") + b"\xe2\xfe" + code[len(asks):]

    kernel = patch(os.path.join(lab.directory, "late.elf"), "ap_high", change)
    image = os.path.join(lab.directory, "late.iso")
    make_iso(image, partition("steady", 0, "jitter.elf"),
             {"jitter.elf": os.path.join(TOP, "build/guests/jitter.elf")}, kernel=kernel)
    with lab.boot("late", image, cpus=2) as machine:
        machine.wait_for(r"^core 1 \(APIC id 1\) does not answer and is left out$", HYPERVISOR)
        found = machine.wait_for(JITTER_LINE, "steady")
        for _ in range(3):
            found = machine.wait_for(JITTER_LINE, "steady", since=found.index + 1)
        machine.close()
        assert machine.find("PANIC", HYPERVISOR) is None
        cr4 = cr4_of_cores(machine)
        assert cr4[1] & CR4_MCE and not cr4[1] & CR4_VMXE  # it has come to C, and no further
