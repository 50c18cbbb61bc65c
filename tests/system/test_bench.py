# SPDX-License-Identifier: Apache-2.0
"""What things cost a guest: no row of guests/bench gets slower than recorded, none is above its bar, and what
should be free is. Ticks are counted instructions: the load of the host does not matter."""
import os
import sys
import warnings

import pytest
from conftest import TOP

sys.path.append(os.path.join(TOP, "tests/bench"))
import instrument  # noqa: E402
from instrument import BARS, FREE, FREE_PERCENT, slower  # noqa: E402

SLOWER_PERCENT = 3


@pytest.fixture(scope="module")
def ours():
    return instrument.measure_ours(name="test")


@pytest.fixture(scope="module")
def native():
    return instrument.measure_native(FREE)


@pytest.fixture(scope="module")
def recorded():
    return instrument.recorded()


def none_of(lines):
    """No such line; else all of them are shown."""
    assert not lines, "\n" + "\n".join(lines)


def against(words, rows, others):
    """A line for each of these rows: name, what it costs, what is held against it."""
    return [f"{row}: {it.ticks} ticks, {words} {others[row].ticks}" for row, it in rows.items()]


def test_every_row_is_measured_and_recorded(ours, recorded):
    assert list(ours) == list(recorded)


def test_no_row_is_slower_than_recorded(ours, recorded):
    slow = {row: it for row, it in ours.items() if slower(it.ticks, recorded[row].ticks, SLOWER_PERCENT)}
    fast = {row: it for row, it in ours.items() if slower(recorded[row].ticks, it.ticks, SLOWER_PERCENT)}
    if fast:
        warnings.warn("`make bench-record` keeps what became faster: " + "; ".join(against("recorded", fast, recorded)))
    none_of(against("recorded", slow, recorded))


def test_no_row_touches_the_vmcs_more_than_recorded(ours, recorded):
    for what in ("exits", "vmreads", "vmwrites"):
        counts = {row: (round(getattr(it, what), 1), getattr(recorded[row], what)) for row, it in ours.items()}
        none_of([f"{row}: {what} {now}, recorded {before}" for row, (now, before) in counts.items() if now > before])


def test_no_row_is_above_its_bar(ours):
    none_of([f"{row}: {ours[row].ticks} ticks, at most {bar}" for row, bar in BARS.items() if ours[row].ticks > bar])


def test_what_should_be_free_is(ours, native):
    """Natively, in the same run; and without an exit."""
    dear = {row: ours[row] for row in FREE if slower(ours[row].ticks, native[row].ticks, FREE_PERCENT)}
    none_of(against("natively", dear, native))
    none_of([f"{row}: {ours[row].exits} exits" for row in FREE if ours[row].exits])
