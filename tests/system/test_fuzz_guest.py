# SPDX-License-Identifier: Apache-2.0
"""Two guests that make exits at random (guests/fuzz), beside one that watches its clock, on two models of CPU: a
million exits, none of which breaks anything, takes long, or is noticed by the neighbour."""
import os
import re
from collections import Counter

import campaign
import pytest
from conftest import DEBUG, PLAIN
from emulator import LIFE
from exits import reason_name
from messages import CRASHED, HYPERVISOR, JITTER_LINE

MODELS = ["corei7_skylake_x", "tigerlake"]
EXITS = 250_000  # of each guest on each model
VMCALL = 18
SHORT = 1_000    # where the VMCS is checked at each entry

# What has to have happened, at least so often on a model.
OFTEN = {0: 5000, 10: 5000, 18: 5000, 28: 5000, 30: 20000, 31: 10000, 32: 10000, 48: 10000, 55: 3000}
SELDOM = [13, 15, *range(19, 28), 36, 39, 50, 52, 53, 54]
SELDOM_EACH = 100
LIVES = 10       # that ended, at least
LATE_NS = 2000   # that the neighbour's timer may be

# How many instructions an exit may take at most. Whatever a guest asks for, it does one element of a string
# instruction, walks the guest's page tables three times, says one line, or, at the console, moves what the UART's
# FIFO takes: for that it may have to put two lines of somebody's together, which are 240 characters each.
# Any exit may meet an NMI by which another core kicks this one. Of ten million exits the longest took 81,662.
CONSOLE, OTHER = 120_000, 10_000
WORST = dict.fromkeys((0, VMCALL, 30, 48, 52), CONSOLE) | {LIFE: 3_000_000}  # a dump, and 4 MiB of RAM made zero

# Exits that only an error of the hypervisor's could cause: those whose controls are off, and refused entries.
NEVER = [1, 3, 4, 5, 6, 12, 14, 16, 29, 33, 34, 40, 41, 43, 44, 49, 51, 56, 57, 58, 61]


def run(lab, name, seed, exits, kernel, model=None):
    image = lab.image(name, campaign.config(seed, exits), ["fuzz.elf", "jitter.elf"], kernel=kernel)
    return campaign.run(image, os.path.join(lab.directory, name), exits, model)


@pytest.fixture(scope="module", params=MODELS, name="result")
def fixture_result(lab, request):
    return run(lab, request.param, 1, EXITS, PLAIN, request.param)


def test_all_kinds_of_exits_happen(result):
    counts = Counter({reason: cost.count for reason, cost in result.costs.items()})
    assert counts.total() >= len(campaign.FUZZERS) * EXITS
    wanted = OFTEN | dict.fromkeys(SELDOM, SELDOM_EACH) | {LIFE: LIVES}
    few = {reason_name(reason): counts[reason] for reason, least in wanted.items() if counts[reason] < least}
    assert not few, few


def test_the_hypervisor_counts_as_the_emulator_does(result):
    """But for the hypercalls by which the guest asks, and what comes after them."""
    seen = result.machine.witness()[-1][1]
    for name, core in campaign.FUZZERS.items():
        assert sum(result.said[name].values()) >= EXITS
        other = {reason: (count, seen[core, reason]) for reason, count in result.said[name].items()
                 if reason != VMCALL and seen[core, reason] != count}
        assert not other, other


def test_the_neighbour_does_not_notice(result):
    """Its timer is on time, it never enters the hypervisor, and nothing is said about it."""
    lines = [match for line in result.machine.lines("witness") if (match := re.match(JITTER_LINE, line))]
    assert len(lines) >= 3
    assert all(match[4] == "0" and ", missed 0, " in match.string for match in lines), lines
    assert max(int(match[3]) for match in lines) <= LATE_NS, lines
    assert result.machine.find("^witness: ", HYPERVISOR) is None


def test_the_hypervisor_is_in_order(result):
    """Guests crashed and were started again; the hypervisor itself has nothing to complain of."""
    assert result.machine.find("PANIC|must not happen|VM entry failed", HYPERVISOR) is None
    assert not {reason: count for reason, count in result.machine.exits().items() if reason in NEVER}
    assert result.machine.find(CRASHED, HYPERVISOR) is None


def test_no_exit_takes_long(result):
    long = [f"{reason_name(reason)}: {cost}" for reason, cost in result.costs.items()
            if cost.worst > WORST.get(reason, OTHER)]
    print("\n".join(campaign.table(result.costs)))
    assert not long, "\n".join(long)


def test_the_same_seed_does_the_same(lab):
    """With the VMCS checked before each entry."""
    once, again = (run(lab, name, 7, SHORT, DEBUG) for name in ("once", "again"))
    assert once.digests == again.digests and once.said == again.said
    assert set(once.digests["fuzz-a"]).isdisjoint(once.digests["fuzz-b"]), "two seeds do the same"
