# SPDX-License-Identifier: Apache-2.0
"""What the machine is: the report of probe.elf, its draft of a config, which boots as it is; and threads of one
core, which are kept together."""
import pytest
from conftest import PLAIN, partition
from messages import CORES_STARTED, HYPERVISOR, JITTER_LINE, LINUX_UP, MISSING, NO_VMX, NOTHING_STARTED

SMT = ["cpu: count=1:2:2"]  # APIC ids 0 and 1 are one core, 2 and 3 the other
MODULES = ["vmlinuz", "initrd.img", "jitter.elf"]
VERDICT = r"^verdict: Mullion (runs|does not run) on this machine$"
PROBE_ENTRY = 1             # of boot/grub.cfg


def draft_of(machine):
    return "".join(line.removeprefix("conf").strip() + "\n" for line in machine.lines(HYPERVISOR)
                   if line.startswith("conf"))


def test_the_draft_boots_as_it_is(lab):
    image = lab.image("probe", "[partition broken]\ncpus = 99\n", MODULES, entry=PROBE_ENTRY)
    with lab.boot("probe", image, cpus=4, extra=SMT) as machine:
        assert machine.wait_for(VERDICT, HYPERVISOR).match[1] == "runs"
        draft = draft_of(machine)
        assert machine.find(r"^core 2 apic 2 threads 2-3 .*feature_control 5", HYPERVISOR)
        assert machine.find(r"^pci 00:01.1 8086:7010 class 010180", HYPERVISOR)
        assert machine.find(r"^leak L1TF: possible; ", HYPERVISOR)
        assert not machine.find(r"^draft:\d", HYPERVISOR)
        assert machine.exits() == {}
    assert "cpus    = 0-1\nmemory  = 414M\n" in draft
    with lab.boot("draft", lab.image("draft", draft, MODULES, kernel=PLAIN), cpus=4, extra=SMT) as machine:
        assert machine.wait_for(LINUX_UP, "linux", timeout=180).match[2] == "2"
        assert machine.wait_for(JITTER_LINE, "alone").match[4] == "0"


@pytest.mark.parametrize("name, machine", [
    ("p4", {"model": "p4_prescott_celeron_336", "cpus": 1}),
    ("i440fx", {"emulator": "qemu", "cpus": 64, "extra": ["-icount", "shift=2"]}),  # as in test_paths
    ("q35", {"emulator": "qemu", "cpus": 2, "uefi": True,
             "extra": ["-device", "intel-iommu,intremap=on"]})])
def test_machines_without_vmx_are_probed(lab, name, machine):
    image = lab.image("none", "", ["jitter.elf"], entry=PROBE_ENTRY)
    with lab.boot(name, image, **machine) as run:
        assert run.wait_for(VERDICT, HYPERVISOR).match[1] == "does not run"
        assert run.find(CORES_STARTED, HYPERVISOR).match[2] == str(machine["cpus"])
        assert run.find(MISSING + ".*" + NO_VMX, HYPERVISOR)
        cores = [line for line in run.lines(HYPERVISOR) if line.startswith("core ")]
        assert len(cores) == machine["cpus"]
        assert bool(run.find(r"^dmar unit fed90000 segment 0", HYPERVISOR)) == (name == "q35")
        assert "kernel  = jitter.elf\n" in draft_of(run)


@pytest.mark.parametrize("core, word, starts", [(1, "apart", False), (2, "apart", True), (1, "share", True)])
def test_threads_of_a_core_in_two_partitions(lab, core, word, starts):
    name = f"smt-{word}-{core}"
    image = lab.image(name, f"[system]\nsmt = {word}\n" + partition("a", 0, "jitter.elf") +
                      partition("b", core, "jitter.elf"), ["jitter.elf"])
    with lab.boot(name, image, cpus=4, extra=SMT) as machine:
        if starts:
            machine.wait_for(JITTER_LINE, "b")
        else:
            machine.wait_for(NOTHING_STARTED, HYPERVISOR)
            assert machine.find(r"^mullion.conf:\d+: cpus: core 0 of partition a .* shares a physical core",
                                HYPERVISOR)
            assert machine.exits() == {}
