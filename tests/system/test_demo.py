# SPDX-License-Identifier: Apache-2.0
"""The demo of `make run`, booted once: an unmodified Debian kernel to its shell beside a bare-metal
guest on a core of its own."""
import os
import re

import pytest
from conftest import TOP
from messages import (CORES_STARTED, HYPERVISOR, INPUT_GOES_TO, JITTER_LINE, JITTER_START,
                      LINUX_PROMPT, LINUX_UP)

EXIT_EXTERNAL_INTERRUPT = 1
EXIT_TRIPLE_FAULT = 2
BOOT_SECONDS = 180  # CPU seconds of the emulator, from reset to the shell
ANSWER_SECONDS = 60


@pytest.fixture(scope="module")
def demo(lab):
    return lab.boot("run", os.path.join(TOP, "build/mullion.iso"), cpus=4, memory=1024)


@pytest.fixture(scope="module")
def shell(demo):
    """The demo with Linux at its first prompt, and a way to ask it something."""
    demo.wait_for(LINUX_PROMPT, "linux", timeout=BOOT_SECONDS)

    def ask(command, answer):
        mark = demo.here()
        demo.send(command + "\r")
        return demo.wait_for(answer, "linux", since=mark, timeout=ANSWER_SECONDS).match

    return ask


def test_all_cores_start(demo):
    found = demo.wait_for(CORES_STARTED, HYPERVISOR)
    assert found.match.groups() == ("4", "4")


def test_linux_says_it_is_up(demo, shell):
    assert "cloud-amd64" in demo.wait_for(LINUX_UP, "linux").match[1]


def test_shell_computes(shell):
    shell("echo $((6*7))", r"^42$")


def test_kernel_is_debians(shell):
    shell("uname -r", r"^\d+\.\d+\.\d+-\d+-cloud-amd64$")


def test_linux_sees_its_own_cpus_only(demo, shell):
    cpus = int(demo.find(LINUX_UP, "linux").match[2])
    assert cpus < 4
    assert int(shell("grep -c ^processor /proc/cpuinfo", r"^(\d+)$")[1]) == cpus


def test_linux_sees_intel_without_vmx(shell):
    shell("grep -m1 vendor_id /proc/cpuinfo", r"GenuineIntel")
    flags = shell("grep -m1 ^flags /proc/cpuinfo", r"^flags\s*:(.*)")[1].split()
    assert "vmx" not in flags


def test_linux_uses_x2apic(shell):
    shell("dmesg | grep 'x2apic enabled'", r"^\[ .*\] x2apic enabled$")


def test_processes_keep_their_registers(demo, shell):
    """Many short processes, two at a time: one whose registers another spoils dies of it."""
    mark = demo.here()
    shell("i=0; while [ $i -lt 30 ]; do dmesg | grep -c ACPI >/dev/null || echo bad; i=$((i+1)); done;"
          " echo loops-$((29+1))", r"^loops-30$")
    assert [line for line in demo.lines("linux", mark) if "fault" in line or line == "bad"] == []


def test_linux_has_a_clock(shell):
    shell("cat /sys/devices/system/clocksource/clocksource0/current_clocksource", r"^(kvm-clock|tsc)$")


def test_jitter_goes_on_after_the_shell_answered(demo, shell):
    shell("echo marker-$((1+1))", r"^marker-2$")
    mark = demo.here()
    for _ in range(3):
        found = demo.wait_for(JITTER_LINE, "jitter", since=mark, timeout=ANSWER_SECONDS)
        mark = found.index + 1


def test_lines_never_mix(demo, shell):
    """Each line of jitter is one of its own, whole, however much Linux prints meanwhile."""
    mark = demo.here()
    shell("dmesg | head -200; echo end-$((2+1))", r"^end-3$")
    demo.wait_for(JITTER_LINE, "jitter", since=mark, timeout=ANSWER_SECONDS)
    lines = demo.lines("jitter")
    assert [line for line in lines if not re.search(f"{JITTER_LINE}|{JITTER_START}", line)] == []
    assert all(line.name for line in demo.console.lines[demo.find(".", HYPERVISOR).index:])


def test_focus_moves_and_says_so(demo, shell):
    mark = demo.here()
    demo.send(b"\x1d")
    demo.wait_for(INPUT_GOES_TO, HYPERVISOR, since=mark, timeout=ANSWER_SECONDS)
    mark = demo.here()
    demo.send(b"\x1d")
    demo.wait_for(INPUT_GOES_TO, HYPERVISOR, since=mark, timeout=ANSWER_SECONDS)
    shell("echo back-$((3+1))", r"^back-4$")


def test_no_exit_for_an_interrupt(demo, shell):
    """As the emulator saw it: interrupts went straight to the guests."""
    assert demo.exits().get(EXIT_EXTERNAL_INTERRUPT, 0) == 0
    assert demo.exits().get(EXIT_TRIPLE_FAULT, 0) == 0


def test_ticks_of_jitter_do_not_exit(demo, shell):
    """By its own count none; by the emulator's, between two of its lines its core exits for the
    line's own bytes and little else."""
    assert int(demo.wait_for(JITTER_LINE, "jitter").match[4]) <= 1
    lines = [i for i, line in enumerate(demo.console.lines) if line.name == "jitter"]
    rows = demo.witness()
    counts = [rows[i][1] for i in lines[-2:] if i < len(rows)]
    assert len(counts) == 2
    cpus = {cpu for cpu, _ in counts[1]}
    jitter_cpu = max(cpus)
    assert jitter_cpu == 3
    during = {reason: counts[1][cpu, reason] - counts[0].get((cpu, reason), 0)
              for cpu, reason in counts[1] if cpu == jitter_cpu}
    io = during.pop(30, 0)
    assert io < 1000
    assert sum(during.values()) < 100, during
