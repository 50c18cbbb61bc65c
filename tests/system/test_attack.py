# SPDX-License-Identifier: Apache-2.0
"""The hypervisor that attacks itself (tests/attack), from inside a partition and beside one that ticks on: what the
page tables refuse, and what stops, what goes on and what is said when something of ours or of the machine breaks."""
import bisect
import os
import re

import pytest
from conftest import CR4_VMXE, TOP, cr4_of_cores, partition
from messages import HYPERVISOR, JITTER_LINE, RESTARTED
from patch import symbols

ATTACK = os.path.join(TOP, "build/attack/mullion.elf")
NEXT_INPUT = "\x1d"  # Ctrl-]: the keyboard to the next partition

DIRECT = 0xffff800000000000
PERCPU = 0xffffffffc0000000
CR0_WP, EFER_NXE = 1 << 16, 1 << 11
CR4_MCE, CR4_UMIP, CR4_SMEP, CR4_SMAP = 1 << 6, 1 << 11, 1 << 20, 1 << 21

ABSENT_READ, USER_READ, READ_ONLY, NOT_A_PLACE_TO_RUN = 0, 1, 3, 0x11  # error codes of #PF
RIPV, EIPV, SER = 1, 2, 4  # of a machine check: what was interrupted can go on, has met it; whether S and AR are known
UNCORRECTED, CONTEXT_CORRUPT, SIGNALED, TO_BE_ACTED_ON = 0xb << 60, 1 << 57, 1 << 56, 1 << 55  # of its bank


class Attacker:
    """A partition that is told what to attack."""

    def __init__(self, machine, name="a"):
        self.machine, self.name, self.mark = machine, name, 0
        self.ready()

    def ready(self):
        """It has started, perhaps anew."""
        self.mark = self.machine.wait_for("^attack: ready, ", self.name, self.mark).index + 1

    def send(self, attack, argument=0):
        """Returns the mark from which on its lines are."""
        self.machine.send(f"{attack} {argument:x}\r")
        return self.mark

    def ask(self, attack, argument=0):
        """What the attack answers, and the mark."""
        mark = self.send(attack, argument)
        return self.answer(), mark

    def answer(self):
        found = self.machine.wait_for(r"^attack: answer 0x([0-9a-f]+), page ", self.name, self.mark)
        self.mark = found.index + 1
        return int(found.match[1], 16)


def ticks_on(machine, name="steady"):
    machine.wait_for(JITTER_LINE, name, since=machine.wait_for(JITTER_LINE, name, since=machine.here()).index + 1)


def stopped(machine, since=0):
    """Until a panic is told; its lines."""
    machine.wait_for(r"^the machine is stopped: halt", HYPERVISOR, since)
    return machine.lines(HYPERVISOR, machine.find("^PANIC", HYPERVISOR, since).index)


def function_at(address):
    table = sorted((at, name) for name, at in symbols(ATTACK).items())
    return table[bisect.bisect(table, (address, "~")) - 1][1]


def told(machine):
    """{core: {what: address}} as it was before the seal."""
    found = {}
    for line in machine.lines(HYPERVISOR):
        match = re.match(r"core (\d+): ((?:\w+ 0x[0-9a-f]+ ?)+)$", line)
        if match:
            words = match[2].split()
            found.setdefault(int(match[1]), {}).update(zip(words[::2], (int(word, 16) for word in words[1::2])))
    return found


def attackable(lab, name, system="", **others):
    """An image with a partition on core 0 that attacks and one on core 1 that ticks; others: name -> cores, command line
    of more that attack, or of the first one."""
    others = {"a": ("0", ""), **others}
    parts = [partition(name, cpus, "attack.elf", memory="4M", on_exit="restart", cmdline=cmdline)
             for name, (cpus, cmdline) in others.items()]
    return lab.image(name, system + "".join(parts) + partition("steady", 1, "jitter.elf"),
                     ["attack.elf", "jitter.elf"], kernel=ATTACK)


@pytest.fixture(scope="module")
def two(lab):
    return attackable(lab, "two")


@pytest.fixture(scope="module")
def four(lab):
    return attackable(lab, "four", a=("0,3", ""), b=("2", ""))


@pytest.fixture(scope="module")
def inside(lab, four):
    """Those attacks on memory that are averted, one after the other."""
    return Attacker(lab.boot("inside", four, model="corei7_icelake_u", memory=128))


def test_the_CPU_is_told_to_refuse(inside):
    _, mark = inside.ask("control")
    found = inside.machine.wait_for(r"^CR0 (\w+) CR4 (\w+) EFER (\w{8})$", HYPERVISOR, mark).match
    cr0, cr4, efer = (int(word, 16) for word in found.groups())
    wanted = CR4_MCE | CR4_UMIP | CR4_SMEP | CR4_SMAP
    assert (cr0 & CR0_WP, cr4 & wanted, efer & EFER_NXE) == (CR0_WP, wanted, EFER_NXE)


def places(machine):
    """(attack, where, what #PF says) for everything that must be out of reach."""
    at, core = symbols(ATTACK), told(machine)
    rows = [("Write", at[name], READ_ONLY) for name in
            ("vmx_exit", "exit_rows", "config", "partitions", "idt", "memory_map", "smp_entries", "msr_bitmaps", "vmx_caps")]
    rows += [("Run", place, NOT_A_PLACE_TO_RUN) for place in
             (at["exit_rows"], at["console"], at["idt"], PERCPU + 0x1000, PERCPU + 0x3f00, DIRECT + core[0]["ram"])]
    rows += [("Run", at["attack_user"], NOT_A_PLACE_TO_RUN), ("Read", at["attack_user"], USER_READ),
             ("Write", at["attack_user"], USER_READ)]
    rows += [("Read", place, ABSENT_READ) for place in (0, 8, 0x1000, DIRECT, 0x7fffffffffff, at["boot_stack_guard"])]
    rows += [("Read", PERCPU + page, ABSENT_READ) for page in (0, 0x2000, 0x5000, 0x7000, 0x9000)]  # guards
    rows += [("Read", DIRECT + place, ABSENT_READ) for other in (1, 2) for place in core[other].values()]
    rows += [("Read", DIRECT + core[0][what], ABSENT_READ) for what in ("own", "tables", "vmcs", "ept", "ports")]
    rows += [("Read", DIRECT + core[3][what], ABSENT_READ) for what in ("own", "tables", "vmcs")]  # same partition
    return rows


def test_what_is_nobodys_business_is_out_of_reach(inside):
    rows = places(inside.machine)
    assert len(rows) > 40
    mark = inside.mark
    for attack, where, _ in rows:
        inside.send(attack, where)
    for attack, where, error in rows:
        assert inside.answer() == 1, (attack, hex(where))
        found = inside.machine.wait_for(r"^averted: #PF in the hypervisor, error code (\w+), CR2 (\w+), RIP (\w{16})$",
                                        HYPERVISOR, mark)
        mark = found.index + 1
        code, cr2, rip = (int(word, 16) for word in found.match.groups())
        assert (code, cr2) == (error, where), (attack, hex(where))
        if attack != "Run":
            assert function_at(rip) == f"attack_{attack.lower()}"
    ticks_on(inside.machine)


def test_every_page_that_is_seen_is_the_partitions(inside):
    wrong, mark = inside.ask("sweep", 128 << 20)
    found = inside.machine.wait_for(r"^sweep: (\d+) pages can be read, (\d+) written, (\d+) wrongly$", HYPERVISOR, mark).match
    assert wrong == int(found[3]) == 0
    assert int(found[1]) > int(found[2]) >= 1024 - 64  # 4M, but for what PCs have below 1M


def test_no_frame_is_given_away_after_the_seal(inside):
    refused, mark = inside.ask("alloc")
    assert refused != 0
    inside.machine.wait_for(r"^frames: no room for 4 KiB: sealed", HYPERVISOR, mark)


# Attacks that nobody averts: the argument, what the panic says, and the function at the top of its backtrace.
PF = "#PF in the hypervisor, error code"
DEATHS = {
    "write": (DIRECT, rf"{PF} 0, CR2 {DIRECT:x}", "attack_write"),
    "stack": (0, rf"{PF} 2, CR2 {PERCPU + 0x2ff8:x}", "attack_overflow"),
    "nmistack": (0, rf"{PF} 2, CR2 {PERCPU + 0x5ff8:x}", "attack_overflow"),
    "assert": (0, r"tests/attack/faults\.c:\d+: argument == .*", "assertion"),
    "vector": (0, "interrupt 48 in the hypervisor", "interrupt"),
    "vmread": (0, "VMREAD failed, field 0x4403", "vmread"),
    "mcroot": (UNCORRECTED | RIPV, "#MC in the hypervisor, error code 0, CR2 .*", "check_in_root"),
}


@pytest.mark.parametrize("attack", DEATHS)
def test_fault_of_ours_is_a_panic(lab, two, attack):
    """The code is the same on all cores: none of them goes on."""
    argument, words, function = DEATHS[attack]
    with lab.boot(attack, two, cpus=2, memory=128, any_msr=True) as machine:
        Attacker(machine).send(attack, argument)
        panic, *lines = stopped(machine)
        assert re.fullmatch(f"PANIC on core 0: {words}", panic)
        frames = [match[1] for match in (re.match(r"  [0-9a-f]{16} (\w+)\+0x", line) for line in lines) if match]
        assert function in frames[:3]
        assert (attack == "mcroot") == any(line.startswith("machine check on core 0, bank 0: ") for line in lines)
        machine.close()
        assert not cr4_of_cores(machine)[1] & CR4_VMXE


# ---- Machine checks --------------------------------------------------------------------------
GOES_ON = (RIPV, UNCORRECTED | SER | RIPV, UNCORRECTED | SIGNALED | SER | RIPV)
STOPS = (EIPV | RIPV, 0, UNCORRECTED | RIPV, UNCORRECTED | SIGNALED | TO_BE_ACTED_ON | SER | RIPV)


def test_machine_check_stops_who_has_met_it(lab, two):
    with lab.boot("checks", two, cpus=2, memory=128, any_msr=True) as machine:
        attacker = Attacker(machine)
        for argument in GOES_ON:
            assert attacker.ask("mcguest", argument)[0] == 0
            assert attacker.ask("mcroot", argument)[0] == 0
        machine.wait_for("^core 0 goes on$", HYPERVISOR)
        for argument in STOPS:
            mark = attacker.send("mcguest", argument)
            attacker.ready()
            machine.wait_for("^a: vCPU 0 on core 0: machine check$", HYPERVISOR, mark)
        attacker.send("mcguest", UNCORRECTED | CONTEXT_CORRUPT | RIPV)
        machine.wait_for(r"^machine check on core 0, bank 0: status 0xb2\w+$", HYPERVISOR)
        machine.wait_for("^a: stopped, for good: the machine is damaged$", HYPERVISOR)
        ticks_on(machine)
        assert machine.find("PANIC", HYPERVISOR) is None
        assert machine.find(f"^a: restart {len(STOPS)}$", HYPERVISOR)


def test_machine_check_of_one_core_leaves_the_others_alone(lab, four):
    """All get it, and are in root mode."""
    with lab.boot("broadcast", four, memory=128, any_msr=True) as machine:
        attacker, neighbour = Attacker(machine), Attacker(machine, "b")
        attacker.send("mcall", UNCORRECTED | RIPV)
        attacker.ready()
        for core in (1, 2, 3):
            machine.wait_for(f"^core {core} goes on$", HYPERVISOR)
        machine.send(NEXT_INPUT)
        assert neighbour.ask("control")[0] == 0
        ticks_on(machine)
        assert machine.find("PANIC", HYPERVISOR) is None


# ---- Other cores -----------------------------------------------------------------------------
def test_silent_core_holds_up_nobody_but_its_partition(lab, four):
    """It hangs with NMIs blocked: its partition cannot start again, a panic does not wait for it."""
    with lab.boot("silence", four, memory=128) as machine:
        attacker, neighbour = Attacker(machine), Attacker(machine, "b")
        attacker.ask("silence", 3)
        attacker.send("resume")
        machine.wait_for("^a: waits for cores 0x8, which do not answer$", HYPERVISOR)
        ticks_on(machine)
        machine.send(NEXT_INPUT)
        neighbour.send("assert")
        lines = stopped(machine)
        assert lines[0].startswith("PANIC on core 2: ") and lines[1] == "cores 0x8 do not answer"
        assert machine.find("^a: restart", HYPERVISOR) is None


def test_panics_of_two_cores_are_one_story(lab, four):
    with lab.boot("both", four, memory=128) as machine:
        Attacker(machine, "b")
        Attacker(machine).send("both", 2)
        lines = stopped(machine)
        assert re.match(r"PANIC on core [02]: .* meeting == 0$", lines[0])
        assert not any("PANIC" in line or "answer" in line for line in lines[1:])
        machine.close()
        assert sum(cr4 & CR4_VMXE != 0 for cr4 in cr4_of_cores(machine).values()) <= 1  # the one that has just said so


def test_fault_in_a_panic_only_shortens_it(lab, two):
    """In its backtrace, on the stack that it runs on. The next boot knows what came first."""
    with lab.boot("again", two, cpus=2, memory=128, watched=True) as machine:
        Attacker(machine).send("again", 1)
        machine.wait_for(rf"^panic in the panic on core 0: {PF} 2, CR2 {PERCPU + 0x7ff8:x}$", HYPERVISOR)
        machine.wait_for("^the machine is stopped: halt", HYPERVISOR)
        mark = machine.press_reset()
        machine.wait_for("^last boot ended: PANIC on core 0: #UD in the hypervisor", HYPERVISOR, mark)


def test_fault_in_that_does_not_end_it(lab):
    """Where nothing can be said any more, the machine starts again all the same."""
    image = attackable(lab, "reboot", "[system]\non_panic = reboot\n")
    with lab.boot("reboot", image, cpus=2, memory=128) as machine:
        Attacker(machine).send("again", 2)
        machine.wait_for("^PANIC on core 0: #UD", HYPERVISOR)
        machine.wait_for_reset()
        assert machine.find("machine is stopped", HYPERVISOR) is None


STORM = 5000  # NMIs
EPT_WRITE, EPT_FETCH = 1, 2  # bits of an entry
EPT_DAMAGE = 0, 3, 51  # may be written but not read; a memory type, an address that there is not


def test_storm_of_NMIs(lab):
    """At a core in its guest and at one that exits all the time, and so in every state of the way in and out."""
    image = attackable(lab, "storm", b=("2", "storm"))
    with lab.boot("storm", image, cpus=3, memory=128) as machine:
        attacker = Attacker(machine)
        machine.wait_for("^storm: 1 lines", "b")
        for core in (1, 2, 1, 2):
            attacker.ask("storm", STORM << 8 | core)
        ticks_on(machine)
        last = machine.wait_for(r"^storm: \d+ lines, \d+ registers wrong", "b", since=machine.here() + 1)
        assert last.match[0].endswith(" 0 registers wrong")
        assert machine.find("PANIC", HYPERVISOR) is None
        machine.close()
        nmis = {core: machine.witness()[-1][1].get((core, 0), 0) for core in (1, 2)}
        assert nmis[1] > STORM and nmis[2] > STORM / 10  # the others came to root mode


# ---- Flipped bits ----------------------------------------------------------------------------
def test_flipped_bit_of_the_VMCS_stops_its_partition(lab, two):
    """Field after field, bit after bit; a restart writes it anew. The entry refuses most of them."""
    with lab.boot("vmcs", two, cpus=2, memory=128) as machine:
        attacker = Attacker(machine)
        attacker.send("vmcs")
        tries = int(machine.wait_for(r"^(\d+) bits of the VMCS flipped$", HYPERVISOR, timeout=300).match[1])
        attacker.ready()
        ticks_on(machine)
        lines = machine.lines(HYPERVISOR)
        assert sum(line.startswith("try ") for line in lines) == tries > 500
        assert not any("PANIC" in line for line in lines)
        for words in ("VM entry with invalid control fields", "VM entry with invalid host-state fields", "VM entry failed"):
            assert sum(line.startswith("a: ") and words in line for line in lines) > 50, words


def test_flipped_bit_of_an_EPT_stops_its_partition(lab):
    image = attackable(lab, "ept", b=("2", ""), c=("3", ""))
    with lab.boot("ept", image, memory=128) as machine:
        attacker, others = Attacker(machine), [Attacker(machine, name) for name in "bc"]
        attacker.ask("ept", EPT_WRITE)  # a write is carried out in its stead
        attacker.ask("ept", EPT_WRITE)
        mark = attacker.send("ept", EPT_FETCH)
        attacker.ready()
        machine.wait_for("^a: vCPU 0 on core 0: instruction fetch from where nothing is$", HYPERVISOR, mark)
        attacker.ask("ept", EPT_FETCH)
        for one, bit in zip((attacker, *others), EPT_DAMAGE):
            mark = one.send("ept", bit)
            machine.wait_for(r"^  the hypervisor's own table is damaged, on the way to guest-physical 0x300\d{3}$",
                             HYPERVISOR, mark)
            machine.wait_for(f"^{one.name}: stopped, for good: the machine is damaged$", HYPERVISOR, mark)
            machine.send(NEXT_INPUT)
        ticks_on(machine)
        assert machine.find("PANIC", HYPERVISOR) is None
