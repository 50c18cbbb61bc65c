#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel when it is up (guests/linux/steady.sh), in Bochs: what it exits for, a second, while it idles and
while it computes; what a load of processes, pipes and files takes in a partition and natively; and what exits
its console costs. Ticks and exits are the emulator's account (tests/rig/witness.c)."""
from collections import Counter

import linux
from exits import span
from linux import TICKS_PER_SECOND, table_row

SECONDS, ROUNDS, KIB = 10, 1, 4
WITHIN = 900  # CPU seconds of the emulator
IDLE, BUSY, LOAD, TALK = (1, 2), (3, 4), (5, 6), (7, 8)  # marks of steady.sh


def measure(cpus, native):
    """{phase: Span}"""
    name = f"steady-{'native' if native else 'mullion'}-{cpus}"
    seconds = 0 if native else SECONDS
    cmdline = f"IDLE={seconds} BUSY={seconds} LOAD={ROUNDS} TALK={KIB}"
    with linux.boot(name, "steady.img", cpus, native, cmdline) as run:
        run.wait_for("^steady: done", timeout=WITHIN)
        return {phase: span(run, *phase) for phase in (IDLE, BUSY, LOAD, TALK)}


def print_exits(title, spans, unit):
    """unit: of a Span, what to divide its counts by."""
    print(f"{title}, all vCPUs together:")
    table_row("vCPUs", spans)
    table_row("million ticks", [f"{it.ticks / 1e6:.1f}" for it in spans.values()])
    total = sum((it.exits for it in spans.values()), Counter())
    for name, _ in total.most_common() or [("none", 0)]:
        table_row(name, [f"{it.exits[name] / unit(it):.1f}" for it in spans.values()])


def seconds(it):
    return it.ticks / TICKS_PER_SECOND


def main():
    cpus = (1, 2)
    native, mullion = ({count: measure(count, there) for count in cpus} for there in (True, False))
    of = {phase: {count: mullion[count][phase] for count in cpus} for phase in (IDLE, BUSY, LOAD, TALK)}
    print_exits("idle: exits a second", of[IDLE], seconds)
    print_exits("busy: exits a second", of[BUSY], seconds)
    print_exits("at work: exits a second", of[LOAD], seconds)
    print_exits("its console: exits per KiB", of[TALK], lambda _: KIB)
    print("at work: million ticks")
    table_row("cores", cpus)
    table_row("native", [f"{native[count][LOAD].ticks / 1e6:.1f}" for count in cpus])
    table_row("Mullion", [f"{mullion[count][LOAD].ticks / 1e6:.1f}" for count in cpus])
    table_row("ratio", [f"{mullion[count][LOAD].ticks / native[count][LOAD].ticks:.4f}" for count in cpus])


if __name__ == "__main__":
    main()
