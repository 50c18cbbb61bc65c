# SPDX-License-Identifier: Apache-2.0
"""Unmodified Linux on two and on four vCPUs, the boot core's among them, in both modes of the APIC, on the
oldest CPU that Mullion runs on and on the newest: what its kernel says of itself and what the emulator saw of
it. One machine lives through all tests: up, IPIs, CPUs offline and online, reset from inside, all of it
again, power off."""
import pytest
from conftest import LINUX_CMDLINE, PLAIN, Shell, partition
from messages import HYPERVISOR, LINUX_PROMPT, LINUX_UP

BOOT_SECONDS = 300
EXIT_EXTERNAL_INTERRUPT, EXIT_TRIPLE_FAULT, EXIT_WRMSR, EXIT_EPT_VIOLATION = 1, 2, 32, 48

# Of the kernel's own complaints: those about the machine and about itself.
COMPLAINTS = "WARNING: CPU|BUG|Oops|lockup|stall|unchecked MSR|Firmware|unstable|segfault|Call Trace|" \
    "not respond"

# 1000 turns are about 80 ticks of Linux's 250 Hz.
BUSY = "sh -c 'i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done'"


class Linux:
    """The machine, its Linux partition's shell, and what was asked for."""

    def __init__(self, machine, cpus, x2apic, model):
        self.machine, self.cpus, self.x2apic, self.model = machine, cpus, x2apic, model
        self.shell = Shell(machine)
        self.since = 0  # where the present life of the partition begins

    def wait_until_up(self):
        up = self.machine.wait_for(LINUX_UP, "linux", since=self.since, timeout=BOOT_SECONDS)
        self.machine.wait_for(LINUX_PROMPT, "linux", since=up.index)
        assert int(up.match[2]) == self.cpus

    def dmesg(self, pattern):
        """What of the kernel's log matches."""
        return self.shell.run(f"dmesg | grep -E '{pattern}'")

    def interrupts(self):
        """Of /proc/interrupts {name: {cpu: count}}; a CPU that is offline is not in it."""
        header, *rows = self.shell.run("grep -E 'CPU|ttyS|NMI|LOC|RES|CAL|TLB' /proc/interrupts | tr -s ' '")
        cpus = [int(word.removeprefix("CPU")) for word in header.split()]
        table = {}
        for row in rows:
            name, *words = row.split()
            table[name.rstrip(":")] = {cpu: int(word) for cpu, word in zip(cpus, words) if word.isdigit()}
        return table

    def risen(self, command):
        """By how much which interrupt of which CPU rises while the command runs."""
        before = self.interrupts()
        self.shell.run(command)
        return {name: {cpu: count - before[name].get(cpu, 0) for cpu, count in row.items()}
                for name, row in self.interrupts().items()}

    def on(self, cpu, command):
        """The command, bound to a CPU."""
        return f"taskset {1 << cpu:x} {command}"

    def exits(self, cpu):
        """Of a core until now, {reason: count}, as the emulator saw them."""
        self.shell.run("true")
        counts = self.machine.witness()[-1][1]
        return {reason: count for (core, reason), count in counts.items() if core == cpu}


MACHINES = [(2, False, "corei7_ivy_bridge_3770k"), (4, True, "tigerlake")]


ITS_IMMUNE = "corei7_ivy_bridge_3770k",  # by core/speculation.c: no return thunks


def name_of(machine):
    """C16, X27: with and without nox2apic."""
    cpus, x2apic, model = machine
    return f"{cpus}-x2apic-{model}" if x2apic else f"C16-X27-{cpus}-xapic-{model}"


@pytest.fixture(scope="module", params=MACHINES, ids=name_of)
def linux(lab, request):
    cpus, x2apic, model = request.param
    # cpu0_hotplug: CPU 0, too, may go offline; it comes back by NMI instead of INIT and SIPI.
    cmdline = LINUX_CMDLINE + " cpu0_hotplug" + ("" if x2apic else " nox2apic")
    config = "[system]\nwhen_done = poweroff\n" + partition(
        "linux", f"0-{cpus - 1}", "vmlinuz", memory="256M", initrd="initrd.img", on_exit="restart",
        cmdline=cmdline)
    name = name_of(request.param)
    image = lab.image(name, config, ["vmlinuz", "initrd.img"], kernel=PLAIN)
    with lab.boot(name, image, cpus=cpus, model=model) as machine:
        made = Linux(machine, cpus, x2apic, model)
        made.wait_until_up()
        yield made


def check_kernel(linux):
    """The CPUs, their APICs and their clocks, as the kernel found them."""
    cpuinfo = linux.shell.run("grep -E '^(processor|apicid|siblings)' /proc/cpuinfo")
    numbers = [int(line.split(":")[1]) for line in cpuinfo]
    assert numbers == [number for cpu in range(linux.cpus) for number in (cpu, linux.cpus, cpu)]
    assert bool(linux.dmesg("x2apic enabled")) == linux.x2apic
    assert linux.dmesg("TSC deadline timer available")
    assert linux.shell.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource") == ["tsc"]
    timers = linux.shell.run("cat /sys/devices/system/clockevents/clockevent*/current_device")
    assert timers == ["lapic-deadline"] * linux.cpus
    its = linux.shell.run("cat /sys/devices/system/cpu/vulnerabilities/indirect_target_selection")
    assert (its == ["Not affected"]) == (linux.model in ITS_IMMUNE), its
    assert linux.dmesg(COMPLAINTS) == []


def check_ticks(linux):
    """Every CPU gets its ticks while it computes. In x2APIC mode they cost it no exit; in xAPIC mode
    one each, for the EOI: so the emulator, too, says which mode it is."""
    last = linux.cpus - 1
    before = linux.exits(last)
    risen = linux.risen(" & ".join(linux.on(cpu, BUSY) for cpu in range(linux.cpus)) + " & wait")
    exits = {reason: count - before.get(reason, 0) for reason, count in linux.exits(last).items()}
    ticks = risen["LOC"]
    assert len(ticks) == linux.cpus
    assert min(ticks.values()) >= 40
    if linux.x2apic:
        assert exits.get(EXIT_EPT_VIOLATION, 0) == 0
        assert exits.get(EXIT_WRMSR, 0) < ticks[last] / 2  # a few IPIs
    else:
        assert exits[EXIT_EPT_VIOLATION] >= ticks[last]
        assert exits.get(EXIT_WRMSR, 0) == 0


def test_kernel_finds_its_cpus_and_clocks(linux):
    check_kernel(linux)


def test_every_cpu_ticks(linux):
    check_ticks(linux)


def test_ping_between_two_cpus(linux):
    """Two processes that wake each other: an IPI each time, to each side."""
    here, there = 0, linux.cpus - 1
    linux.shell.run("mkfifo ping pong")
    pong = linux.on(there, "sh -c 'while read i; do echo $i; done < ping > pong'")
    ping = linux.on(
        here, "sh -c 'exec > ping < pong; i=0; while [ $i -lt 50 ]; do echo $((i+1)); read i; done'")
    risen = linux.risen(f"{{ {pong} & }} ; {ping}; wait; rm ping pong")
    for cpu in (here, there):
        assert risen["RES"][cpu] + risen["CAL"][cpu] >= 40


def test_tlb_shootdown(linux):
    """A process that starts a new program on one CPU while another, idle, still holds its page tables: it has just
    come from there."""
    hops = " ".join(["taskset 1 taskset 2"] * 4) + " true"
    risen = linux.risen(f"for i in 1 2 3 4 5 6 7 8; do {hops}; done")["TLB"]
    assert sum(risen.values()) >= 48  # of 64


def test_V050_nmi_to_the_others(linux):
    """SysRq l: an NMI to all CPUs but the one that asks."""
    ask = linux.on(1, "sh -c 'echo l > /proc/sysrq-trigger'")
    nmis = linux.risen(ask)["NMI"]
    assert nmis == {cpu: int(cpu != 1) for cpu in range(linux.cpus)}
    linux.shell.run("dmesg -c > /dev/null")  # of the backtraces


def test_device_interrupts_follow_their_affinity(linux):
    irq = next(name for name, row in linux.interrupts().items() if name.isdigit())
    for cpu in (linux.cpus - 1, 0):
        linux.shell.run(f"echo {1 << cpu:x} > /proc/irq/{irq}/smp_affinity; echo settled")
        risen = linux.risen("echo this costs interrupts")[irq]
        assert risen[cpu] > 0
        assert sum(risen.values()) == risen[cpu]


def check_offline_and_online(linux, cpu):
    """Offline it neither counts interrupts nor exits, as the emulator saw it; online it does both."""
    linux.shell.run(f"echo 0 > /sys/devices/system/cpu/cpu{cpu}/online")
    before = linux.exits(cpu)
    assert cpu not in linux.interrupts()["LOC"]
    assert linux.shell.run("nproc") == [str(linux.cpus - 1)]
    assert linux.exits(cpu) == before
    linux.shell.run(f"echo 1 > /sys/devices/system/cpu/cpu{cpu}/online")
    assert linux.exits(cpu) != before
    assert linux.shell.run(linux.on(cpu, "cut -d' ' -f39 /proc/self/stat")) == [str(cpu)]
    assert linux.risen(linux.on(cpu, BUSY))["LOC"][cpu] >= 40


def test_V105_offline_and_online(linux):
    for cpu in (1, linux.cpus - 1):
        check_offline_and_online(linux, cpu)


def test_cpu_0_offline_and_online(linux):
    """Its exits go on: it serves the console's UART."""
    linux.shell.run("echo 0 > /sys/devices/system/cpu/cpu0/online")
    assert 0 not in linux.interrupts()["LOC"]
    linux.shell.run("echo 1 > /sys/devices/system/cpu/cpu0/online")
    assert linux.shell.run(linux.on(0, "cut -d' ' -f39 /proc/self/stat")) == ["0"]


def test_all_others_offline_and_online(linux):
    others = " ".join(str(cpu) for cpu in range(1, linux.cpus))
    for online in (0, 1):
        linux.shell.run(f"for c in {others}; do echo {online} > /sys/devices/system/cpu/cpu$c/online; done")
        assert linux.shell.run("nproc") == [str(linux.cpus if online else 1)]
    check_ticks(linux)
    assert linux.dmesg(COMPLAINTS) == []


def test_reset_from_inside(linux):
    """Asked for on the last CPU, while the others idle; then all is as after the first boot."""
    linux.since = linux.machine.here()
    linux.machine.send(linux.on(linux.cpus - 1, "reboot -f\r"))
    linux.machine.wait_for(r"^linux: vCPU \d resets the partition$", HYPERVISOR, since=linux.since)
    linux.machine.wait_for(r"^linux: restart 1$", HYPERVISOR, since=linux.since)
    linux.wait_until_up()
    check_kernel(linux)
    check_ticks(linux)
    check_offline_and_online(linux, linux.cpus - 1)


def test_power_off_from_inside(linux):
    linux.machine.send("poweroff -f\r")
    linux.machine.wait_for(r"^linux: stopped, as it asked$", HYPERVISOR, since=linux.since)
    linux.machine.wait_for(r"^all partitions have stopped, 0 of them .*: power off$", HYPERVISOR)
    linux.machine.wait_for_end()
    exits = linux.machine.exits()
    assert EXIT_EXTERNAL_INTERRUPT not in exits
    assert EXIT_TRIPLE_FAULT not in exits
