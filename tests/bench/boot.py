#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""From the boot loader's jump to guests on all cores, by phase, on one to eight cores: with one partition on one
core, with one on all cores, and with one for each core. The hypervisor says nothing of this: the emulator's account is when each core comes
first to certain functions (tests/rig/trace.c).

A tick is an instruction in Bochs, 20 ns of its time. So what waits for time itself, the UART (4300 ticks a
character) and the reference clock, weighs as on a real machine with a CPU of 50 MHz, which computes 60 times
slower and clears memory 500 times slower than today's."""
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path += [os.path.join(TOP, "tests/rig")]

from emulator import Machine  # noqa: E402
from iso import make_iso  # noqa: E402
from tracing import ENTRY, Image, Trace  # noqa: E402

OUT = os.path.join(TOP, "build/bench")
GUEST = os.path.join(TOP, "build/guests/hello.elf")
MEMORY = "16M"  # of each partition
SECONDS = 300
WIDTH = 96  # of the graph

# Each phase begins where a core comes to its function for the first time and lasts until its next one begins.
PHASES = {  # name: (letter, function)
    "entry": ("e", ENTRY),
    "parse": ("p", "boot_main"),            # multiboot, ACPI, configuration
    "memory": ("m", "frames_init"),         # allocator, host page tables, per-CPU pages
    "own tables": ("o", "cpu_main"),        # each core from here on
    "clock": ("t", "timer_measure_tsc_khz"),
    "cores": ("c", "smp_start"),
    "check": ("k", "vmx_ctl_resolve"),      # VMX controls, configuration against the machine
    "build": ("b", "partitions_build"),     # memory and EPT of all partitions
    "proof": ("P", "guest_layout_prove"),
    "rest": ("r", "vcpu_bitmaps_init"),
    "wait": (".", "smp_join"),              # the other cores for the boot core
    "VMX on": ("v", "vmx_cpu_on"),
    "scrub": ("S", "partition_scrub"),      # all cores of a partition
    "load": ("L", "partition_load"),        # tables and images: the first core of each partition
    "barrier": (".", "smp_barrier"),
    "launch": ("l", "vcpu_run"),            # VMCS, up to the first entry
}
GUEST_RUNS = ("=", "vmx_launch_window")
FUNCTIONS = [function for _, function in [*PHASES.values(), GUEST_RUNS]]


def shapes(cores):
    """{what the partitions are: the cores of each}"""
    found = {"one core's": ["0"]}
    if cores > 1:
        found |= {"of all": [f"0-{cores - 1}"], "each": [str(cpu) for cpu in range(cores)]}
    return found


def run(directory, cores, partitions):
    """[{function: ticks since entry} of each core]; partitions: the cores of each."""
    config = "".join(f"[partition p{i}]\ncpus = {cpus}\nmemory = {MEMORY}\nkernel = hello.elf\n"
                     "console = vuart\n" for i, cpus in enumerate(partitions))
    make_iso(directory + ".iso", config, {"hello.elf": GUEST})
    image = Image()
    missing = [name for name in FUNCTIONS if name not in image.symbols]
    assert not missing, f"the image has no functions {missing}: which begin those phases now?"
    with Machine(directory + ".iso", directory, cpus=cores, memory=512,
                 trace=[image.symbols[name] for name in FUNCTIONS]) as machine:
        for i in range(len(partitions)):
            machine.wait_for(r"^hello: up", f"p{i}", timeout=SECONDS)
    marks = Trace(directory).marks
    entry = marks[0, image.symbols[ENTRY]]
    return [{name: marks[cpu, image.symbols[name]] - entry for name in FUNCTIONS
             if (cpu, image.symbols[name]) in marks} for cpu in range(cores)]


def phases(core):
    """[(letter, name, begin, end)] of a core, in order; the guest's last one has no end."""
    begun = sorted((core[function], letter, name)
                   for name, (letter, function) in [*PHASES.items(), ("guest", GUEST_RUNS)] if function in core)
    ends = [begin for begin, _, _ in begun[1:]] + [None]
    return [(letter, name, begin, end) for (begin, letter, name), end in zip(begun, ends)]


def launched(cores):
    """Ticks from entry until the last core that has a guest enters it."""
    return max(core[GUEST_RUNS[1]] for core in cores if GUEST_RUNS[1] in core)


def graph(cores):
    """One line of text a core; a column shows what most of its time went to."""
    total = launched(cores)
    for number, core in enumerate(cores):
        line = ""
        for column in range(WIDTH):
            at, to = total * column / WIDTH, total * (column + 1) / WIDTH
            shares = [(min(end or to, to) - max(begin, at), letter) for letter, _, begin, end in phases(core)]
            line += max([(0, " "), *shares])[1]
        yield f"  core {number} |{line}|"


def main():
    os.makedirs(OUT, exist_ok=True)
    print("thousand ticks of the boot core, from entry to the first guest instruction on all cores:")
    print("  cores partitions" + "".join(f"{name:>11}" for name in PHASES if name != "wait") + "      total")
    runs = {}
    for cores in range(1, 9):
        for shape, partitions in shapes(cores).items():
            found = runs[cores, shape] = run(os.path.join(OUT, "boot"), cores, partitions)
            spent = {name: end - begin for _, name, begin, end in phases(found[0]) if end is not None}
            print(f"  {cores:5} {shape:10}" + "".join(f"{spent.get(name, 0) // 1000:11}" for name in PHASES
                                                          if name != "wait") +
                  f"{launched(found) // 1000:11}", flush=True)
    for shape in shapes(8):
        found = runs[8, shape]
        print(f"8 cores, partition {shape}, {launched(found) / 1e6:.1f} million ticks: " +
              ", ".join(f"{letter} {name}" for name, (letter, _) in PHASES.items() if letter != ".") +
              f", . waits, {GUEST_RUNS[0]} guest")
        print("\n".join(graph(found)))


if __name__ == "__main__":
    main()
