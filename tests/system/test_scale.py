# SPDX-License-Identifier: Apache-2.0
"""Cores that are in the hypervisor at the same time do not slow each other down: tests/bench/scale.py says how
that is seen."""
import os
import sys

import pytest
from conftest import RUNS, TOP

sys.path.append(os.path.join(TOP, "tests/bench"))

import scale  # noqa: E402
from tracing import Image  # noqa: E402

WORST_RATIO = 1.05


@pytest.fixture(scope="module", name="runs")
def fixture_runs():
    """{"apart": of seven partitions, "together": of the four vCPUs of one}: (ticks, trace)."""
    directory = os.path.join(RUNS, "test_scale")
    os.makedirs(directory, exist_ok=True)
    return {"apart": scale.measure(os.path.join(directory, "apart"), scale.APART, scale.STEPS),
            "together": scale.measure(os.path.join(directory, "together"), scale.TOGETHER, (1, 4))}


@pytest.mark.parametrize("row", scale.ROWS)
@pytest.mark.parametrize("layout", ["apart", "together"])
def test_busy_cores_do_not_wait_for_each_other(runs, layout, row):
    ticks = runs[layout][0][row]
    assert all(len(by_cpu) == busy for busy, by_cpu in ticks.items()), "not all that should have worked did"
    alone, *more = [max(by_cpu) for _, by_cpu in sorted(ticks.items())]
    assert more and all(spent <= WORST_RATIO * alone for spent in more), ticks


@pytest.mark.parametrize("row", scale.ROWS)
@pytest.mark.parametrize("layout", ["apart", "together"])
def test_exit_path_shares_nothing_that_is_written(runs, layout, row):
    """No cache line that one core writes is touched by another one between an exit and the next entry, and
    nothing is locked."""
    image = Image()
    path = runs[layout][1].paths[scale.ROWS[row]]
    busy = len(scale.APART if layout == "apart" else scale.TOGETHER[0])
    assert len({writers for _, writers in path.lines.values() if writers}) >= busy, "not all cores were seen"
    assert image.symbols["vmx_exit"] in path.code
    assert scale.shared_lines(path) == []
    assert [f"{image.where(at)}: {text}" for at, text in scale.locked(path, image.instructions())] == []


RSP, RDI = 1 << 4, 1 << 7


@pytest.mark.parametrize("row", scale.ROWS)
def test_no_register_of_a_guest_is_left_in_root_mode(runs, row):
    """Some hold something at the first instruction behind an exit; at the first of C always the same two do, which
    are ours: the stack and the vCPU."""
    image, path = Image(), runs["apart"][1].paths[scale.ROWS[row]]
    assert any((mask & ~RSP).bit_count() > 4 for mask in path.regs[image.symbols[scale.STUB]])
    assert path.regs[image.symbols[scale.HANDLER]] == {RSP | RDI}
