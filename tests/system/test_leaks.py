# SPDX-License-Identifier: Apache-2.0
"""What a partition finds of others, and of itself in a former life: in its memory (guests/leak.c looks at all of
it), and where speculation could find it."""
import os

import patch
import pytest
from conftest import DEBUG, RUNS, partition

MODEL = "tigerlake"  # has the MSRs and VERW's new meaning; by its word it is not open to L1TF
SPEC_CTRL, PRED_CMD = 0x48, 0x49
CPUS = (1, 2)
LIVES = 2
IMAGE_END = 0x130000


def run(lab, name, kernel=DEBUG):
    """With something in each 4 MiB of memory, as if firmware had left it there."""
    config = "[system]\nwhen_done = poweroff\n" + partition("leak", "1-2", "leak.elf", memory="32M", on_exit="restart")
    soil = [f"setpmem {at:#x} 4 0x5ec2e7" for at in range(4 << 20, 64 << 20, 4 << 20)]
    machine = lab.boot(name, lab.image(name, config, ["leak.elf"], kernel=kernel), model=MODEL, cpus=4, memory=64,
                       at_start=soil)
    machine.wait_for_end()
    return machine


@pytest.fixture(scope="module", name="machine")
def fixture_machine(lab):
    return run(lab, "scrubbed")


def lives(machine):
    """Of each: the sums of what is below 1 MiB, the first and the end of what is above the guest's image, and where
    the first word is that is not 0."""
    lines = [line for line in machine.lines("leak") if line.startswith("leak: ")]
    return [(lines[at:at + 2], *(int(word.strip(","), 16) for word in lines[at + 2].split() if word.startswith("0x")))
            for at in range(0, 3 * LIVES, 3)]


def test_nothing_is_left_in_memory(machine):
    """Nothing above the guest's own image; below 1 MiB what the loader puts there, the same in each life."""
    (low, _, end, _), *_ = lives(machine)
    assert end == 32 << 20
    assert all(0 < int(line.split()[1]) < 4096 for line in low)
    assert all((sums, begin < IMAGE_END, left) == (low, True, end) for sums, begin, end, left in lives(machine))


def test_somebody_would_be_seen(lab):
    """Without the scrub: what was there before, and what was put there in a former life."""
    nothing = b"\x31\xc0\xc3"  # xor eax, eax; ret
    kernel = patch.patch(os.path.join(RUNS, "test_leaks", "unscrubbed.elf"), "partition_scrub",
                         lambda code: nothing + code[len(nothing):], DEBUG)
    (_, _, end, soil), (_, _, _, secret) = lives(run(lab, "unscrubbed", kernel))
    assert IMAGE_END < soil < end and secret < IMAGE_END


def test_speculation_starts_afresh(machine):
    """On each of its cores, once in each life: predictors and buffers are emptied. At exits nothing is done: there
    were many."""
    for cpu in CPUS:
        deeds = [deed for when, core, *deed in machine.deeds() if core == cpu]
        assert deeds == [[SPEC_CTRL, 0], [PRED_CMD, 1], ["verw"]] * LIVES
    assert {core for _, core, *_ in machine.deeds()} == set(CPUS)
    assert sum(machine.exits().values()) > 100
