# SPDX-License-Identifier: Apache-2.0
"""VM exits as the emulator's witness (witness.c) saw them: their names, and those between two marks of a guest."""
from collections import Counter
from typing import NamedTuple

REASONS = {0: "exception or NMI", 1: "external interrupt", 2: "triple fault", 7: "interrupt window", 8: "NMI window",
           9: "task switch", 10: "CPUID", 11: "GETSEC", 12: "HLT", 13: "INVD", 15: "RDPMC", 17: "RSM", 18: "VMCALL",
           19: "VMCLEAR", 20: "VMLAUNCH", 21: "VMPTRLD", 22: "VMPTRST", 23: "VMREAD", 24: "VMRESUME", 25: "VMWRITE",
           26: "VMXOFF", 27: "VMXON", 28: "CR access", 30: "I/O", 31: "RDMSR", 32: "WRMSR", 36: "MWAIT", 37: "MTF",
           39: "MONITOR", 40: "PAUSE", 44: "APIC access", 45: "virtualized EOI", 48: "EPT violation",
           49: "EPT misconfiguration", 50: "INVEPT", 52: "preemption timer", 53: "INVVPID", 54: "WBINVD", 55: "XSETBV",
           56: "APIC write", 59: "VMFUNC", 63: "XSAVES", 64: "XRSTORS"}
IO, RDMSR, WRMSR = 30, 31, 32
ICR = 0x830
QUALIFICATION_IN, QUALIFICATION_PORT = 1 << 3, 16


def reason_name(reason):
    return REASONS.get(reason, f"reason {reason}")


def exit_name(it):
    """Of an Exit: the reason, and which port or MSR; a write to the ICR is just that."""
    if it.reason == IO:
        direction = "IN" if it.qualification & QUALIFICATION_IN else "OUT"
        return f"{direction} {it.qualification >> QUALIFICATION_PORT:x}"
    if it.reason == WRMSR and it.ecx == ICR:
        return "ICR"
    return reason_name(it.reason) + (f" {it.ecx:x}" if it.reason in (RDMSR, WRMSR) else "")


class Span(NamedTuple):
    """From one mark to another."""
    ticks: int
    exits: Counter  # by exit_name, of all CPUs


def span(machine, first, last):
    """From mark `first` to mark `last` of the one guest of the machine that sets marks."""
    begin, end = (next(it.ticks for it in machine.marks() if it.number == number) for number in (first, last))
    return Span(end - begin,
                Counter(exit_name(it) for it in machine.each_exit() if begin <= it.ticks < end))
