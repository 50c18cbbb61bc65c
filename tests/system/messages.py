# SPDX-License-Identifier: Apache-2.0
"""What the system tests look for in the words of the hypervisor and the guests: the one place to
change when a message changes. Regular expressions, without the "NAME| " in front."""

HYPERVISOR = "mullion"

# The hypervisor, in the order of a boot.
CORES_STARTED = r"\b(\d+) of (\d+) cores"
CANNOT_RUN = r"this CPU cannot run Mullion: missing: (.*)"
NO_INTEL = r"GenuineIntel"
NO_VMX = r"\bVMX \("
NO_EPT = r"\bEPT\b"
NO_UNRESTRICTED_GUEST = r"unrestricted guest"
NO_X2APIC = r"\bx2APIC\b"
CONFIG_ERROR = r"mullion\.conf:(\d+): (.*)"
NO_CONFIG = r"mullion\.conf"
INPUT_GOES_TO = r"input.* (\w+)"
PARTITION_STOPPED = r"(\w+).*\bstopped\b"
PARTITION_FAILED = r"(failed|crashed)"

# The guests.
LINUX_UP = r"init: Linux (\S+) up, (\d+) CPU"
LINUX_PROMPT = r"^linux# $"
JITTER_LINE = r"min .*avg .*max"
