#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel when it is up (guests/linux/steady.sh), in Bochs: what it exits for, a second, while it idles and
while it computes; what a load of processes, pipes and files takes in a partition, natively and as KVM's guest; and
what exits its console costs. Ticks and exits are the emulator's account (tests/rig/witness.c)."""
from collections import Counter

import linux
from exits import span
from linux import TICKS_PER_SECOND, table_row
from messages import STEADY_BUSY, STEADY_DONE, STEADY_IDLE, STEADY_LOAD, STEADY_TALK

CPUS, SECONDS, ROUNDS, KIB = (1, 2), 10, 1, 4
WITHIN = 900  # CPU seconds of the emulator


def measure(where, cpus):
    """{phase: Span}"""
    seconds = 0 if where == "native" else SECONDS
    cmdline = f"IDLE={seconds} BUSY={seconds} LOAD={ROUNDS} TALK={KIB}"
    with linux.boot(f"steady-{where}-{cpus}", "steady.img", cpus, where, cmdline) as run:
        run.wait_for(STEADY_DONE, timeout=WITHIN)
        return {phase: span(run, *phase) for phase in (STEADY_IDLE, STEADY_BUSY, STEADY_LOAD, STEADY_TALK)}


def print_exits(title, phase, runs, unit):
    """runs: {(where, cpus): {phase: Span}}. unit: of a Span, what to divide its counts by."""
    spans = [run[phase] for (where, _), run in runs.items() if where != "native"]
    print(f"{title}, all vCPUs together:")
    table_row("million ticks", [f"{it.ticks / 1e6:.1f}" for it in spans])
    table_row("all exits", [f"{it.exits.total() / unit(it):.1f}" for it in spans])
    for name, _ in sum((it.exits for it in spans), Counter()).most_common():
        table_row(name, [f"{it.exits[name] / unit(it):.1f}" for it in spans])


def seconds_of(it):
    return it.ticks / TICKS_PER_SECOND


def main():
    runs = {(where, cpus): measure(where, cpus) for where in ("native", "mullion", "kvm") for cpus in CPUS}
    table_row("vCPUs", [f"{where} {cpus}" for where, cpus in runs if where != "native"])
    print_exits("idle: exits a second", STEADY_IDLE, runs, seconds_of)
    print_exits("busy: exits a second", STEADY_BUSY, runs, seconds_of)
    print_exits("at work: exits a second", STEADY_LOAD, runs, seconds_of)
    print_exits("its console: exits per KiB", STEADY_TALK, runs, lambda _: KIB)
    print("at work: million ticks, and in relation to native with as many cores:")
    for (where, cpus), run in runs.items():
        ticks, native = run[STEADY_LOAD].ticks, runs["native", cpus][STEADY_LOAD].ticks
        table_row(f"{where} {cpus}", [f"{ticks / 1e6:.1f}", f"{ticks / native:.4f}"])


if __name__ == "__main__":
    main()
