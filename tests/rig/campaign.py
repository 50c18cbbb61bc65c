#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Guests that make exits at random (guests/fuzz), two beside one that watches its clock, on one model of CPU after the
other: how many exits of each reason, and what each costs at most, as the emulator counts instructions
(tests/rig/cost.c). Arguments: seed, exits in all, models."""
import os
import re
import sys
from collections import Counter
from typing import NamedTuple

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(TOP, "tests/rig"))

from emulator import LIFE, Machine  # noqa: E402
from exits import reason_name  # noqa: E402
from iso import make_iso  # noqa: E402

OUT = os.path.join(TOP, "build/campaign")
GUESTS = os.path.join(TOP, "build/guests")
MODELS = ["corei7_ivy_bridge_3770k", "corei7_haswell_4770", "corei7_skylake_x", "corei7_icelake_u", "tigerlake"]
FUZZERS = {"fuzz-a": 1, "fuzz-b": 3}  # and their cores; the next one ends what hangs. Core 0 serves the console
CORES = 6
TICKS_PER_EXIT = 1500                 # the emulator does 10 million and more in a second

# Drawing what is on the screen is the one thing that takes as long as there is of it, on the core that speaks.
CONFIG = "[system]\nscreen = no\n"
FUZZ = """
[partition {name}]
cpus    = {core}-{next_core}
memory  = 4M
kernel  = fuzz.elf
cmdline = seed={seed} exits={exits}
console = vuart
on_exit = restart
"""
WITNESS = """
[partition witness]
cpus    = 5
memory  = 4M
kernel  = jitter.elf
console = vuart
"""


class Result(NamedTuple):
    """Of one run."""
    machine: Machine  # which has ended
    said: dict        # partition -> {reason: exits} by the hypervisor's own counters
    digests: dict     # partition -> the lines with digests
    costs: dict       # reason -> Cost


def config(seed, exits):
    fuzzers = [FUZZ.format(name=name, core=core, next_core=core + 1, seed=seed + core, exits=exits)
               for name, core in FUZZERS.items()]
    return "".join([CONFIG, *fuzzers, WITNESS])


def run(image, directory, exits, model=None):
    """An image with config(seed, exits), until both fuzzers have done all."""
    with Machine(image, directory, cpus=CORES, memory=128, model=model, costs=True) as machine:
        for name in FUZZERS:
            machine.wait_for(r"^fuzz: done$", name, timeout=60 + exits * TICKS_PER_EXIT / 1e6)
    said, digests = {}, {}
    for name in FUZZERS:
        lines = machine.lines(name)
        found = (re.match(r"fuzz: reason (\d+) exits (\d+)$", line) for line in lines)
        said[name] = Counter({int(match[1]): int(match[2]) for match in found if match})
        digests[name] = [line for line in lines if re.match("fuzz: exits .* digest ", line)]
    return Result(machine, said, digests, machine.costs())


def merge(costs):
    """Costs of several runs in one."""
    total = {}
    for of_run in costs:
        for reason, cost in of_run.items():
            so_far = total.get(reason, cost._replace(count=0, total=0))
            worse = max(so_far, cost, key=lambda it: it.worst)
            total[reason] = worse._replace(count=so_far.count + cost.count, total=so_far.total + cost.total)
    return total


def table(costs):
    """Lines: reason, exits, ticks at most."""
    lines = [f"{'exit':32}{'count':>12}{'mean':>8}{'worst':>8}  ticks"]
    for reason, cost in sorted(costs.items()):
        name = "the last one of a life" if reason == LIFE else f"{reason} {reason_name(reason)}"
        lines.append(f"{name:32}{cost.count:12}{cost.total // cost.count:8}{cost.worst:8}")
    lines.append(f"{'all':32}{sum(cost.count for cost in costs.values()):12}")
    return lines


def main(seed="1", exits="10000000", *models):
    models = models or MODELS
    each, costs = int(exits) // (len(models) * len(FUZZERS)), []
    os.makedirs(OUT, exist_ok=True)
    for index, model in enumerate(models):
        place = os.path.join(OUT, model)
        modules = {name: os.path.join(GUESTS, name) for name in ("fuzz.elf", "jitter.elf")}
        make_iso(f"{place}.iso", config(int(seed) + 10 * index, each), modules)
        result = run(f"{place}.iso", place, each, model)
        costs.append(result.costs)
        print(f"{model}, seeds {', '.join(str(int(seed) + 10 * index + core) for core in FUZZERS.values())}:")
        print("\n".join(table(result.costs)), flush=True)
    print("all models:")
    print("\n".join(table(merge(costs))))


if __name__ == "__main__":
    main(*sys.argv[1:])
