# SPDX-License-Identifier: Apache-2.0
"""What the system tests look for in the words of the hypervisor and the guests: the one place to
change when a message changes. Regular expressions, without the "NAME| " in front."""

HYPERVISOR = "mullion"

# The hypervisor, in the order of a boot.
LOADED = r"^Mullion, loaded at 0x([0-9a-f]+)$"
CORES_STARTED = r"^(\d+) of (\d+) cores run$"
MISSING = r"^this CPU cannot run Mullion: .*missing: "
NO_INTEL = r"GenuineIntel"
NO_VMX = r"\bVMX \("
NO_EPT = r"\bEPT\b"
NO_UNRESTRICTED_GUEST = r"unrestricted guest"
NO_X2APIC = r"\bx2APIC\b"
NO_CONFIG = r"no module named mullion\.conf"
FREE_MEMORY = r"^mullion\.conf:\d+: memory = .*: this machine has (\d+)M for partitions"
NO_ROOM = r"^frames: no room for \d+ KiB: "
TABLES_DO_NOT_FIT = r"^mullion\.conf:\d+: memory = .*: partition (\w+) and its tables do not fit"
NOTHING_STARTED = r": nothing was started$"
LAUNCHED = r"(\d+) KiB in use by the hypervisor, (\d+) million ticks from entry to launch"
INPUT_GOES_TO = r"^input goes to (\w+)"
RESTARTED = r"^(\w+): restart (\d+)$"
CRASHED = r"^(\w+): stopped, crashed$"
PARTITION_FAILED = r"^all partitions have stopped, [1-9]\d* of them not by their own wish"

# The guests.
LINUX_UP = r"^init: Linux (\S+) up, (\d+) CPU"
LINUX_PROMPT = r"^linux# $"
JITTER_LINE = r"^jitter: ns min (\d+) avg (\d+) max (\d+), .*, exits (\d+|n/a)$"
JITTER_START = r"^jitter: TSC"
HELLO_DONE = r"^hello: done$"

# guests/linux/steady.sh: between which marks it does what.
STEADY_IDLE, STEADY_BUSY, STEADY_LOAD, STEADY_TALK = (1, 2), (3, 4), (5, 6), (7, 8)
STEADY_DONE = r"^steady: done$"
