# SPDX-License-Identifier: Apache-2.0
"""How long the way from the boot loader to the guests may take, by the emulator's account: see
tests/bench/boot.py. In ticks, so the host's load does not matter."""
import os
import sys

import pytest
from conftest import RUNS, TOP

sys.path.append(os.path.join(TOP, "tests/bench"))

import boot  # noqa: E402

MORE_CORES = 1.03       # eight cores for one: they start at the same time
MORE_PARTITIONS = 2.5   # eight partitions for one: the boot core builds one after the other
SPREAD = 20_000         # ticks between the first and the last core to come
AP_START = 0.3          # million ticks from the SIPI to the last core's first instruction, 6 ms


@pytest.fixture(scope="module", name="runs")
def fixture_runs():
    """{what the partitions are: the cores' marks}; "alone": a machine with one core."""
    os.makedirs(os.path.join(RUNS, "test_boot_time"), exist_ok=True)
    machines = {"alone": (1, ["0"])} | {name: (8, cpus) for name, cpus in boot.shapes(8).items()}
    return {name: boot.run(os.path.join(RUNS, "test_boot_time", name.replace(" ", "-").replace("'", "")), *machine)
            for name, machine in machines.items()}


def spent(core, phase):
    return next(end - begin for _, name, begin, end in boot.phases(core) if name == phase)


def test_more_cores_take_no_longer(runs):
    assert boot.launched(runs["one core's"]) <= MORE_CORES * boot.launched(runs["alone"])


def test_cores_start_at_the_same_time(runs):
    came = [core["cpu_main"] for core in runs["one core's"][1:]]
    assert len(came) == 7 and max(came) - min(came) <= SPREAD
    assert max(came) - runs["one core's"][0]["smp_start"] <= AP_START * 1e6


def test_partitions_are_loaded_at_the_same_time(runs):
    assert boot.launched(runs["each"]) <= MORE_PARTITIONS * boot.launched(runs["alone"])
    loads = [core["partition_load"] for core in runs["each"]]
    assert len(loads) == 8 and max(loads) - min(loads) <= SPREAD


def test_memory_is_scrubbed_by_all_cores_of_a_partition(runs):
    alone = spent(runs["alone"][0], "scrub")
    assert all(spent(core, "scrub") <= alone / 7 for core in runs["of all"])


def test_all_cores_enter_their_guests_together(runs):
    entered = [core[boot.GUEST_RUNS[1]] for core in runs["each"]]
    assert len(entered) == 8 and max(entered) - min(entered) <= SPREAD
