# SPDX-License-Identifier: Apache-2.0
"""What arrives on the serial line, as lines: whose they are and what they say. Pure."""
import re
from typing import NamedTuple

ERASE = "\r\x1b[K"  # an open line taken back because another had to be printed first
_PREFIX = re.compile(r"([A-Za-z0-9_-]+)\| ?(.*)", re.DOTALL)
_ESCAPES = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]")


class Line(NamedTuple):
    """name is None where a line has no prefix (firmware, GRUB)."""
    name: str | None
    text: str


def parse_line(raw):
    """One line without its newline."""
    shown = raw.rsplit(ERASE, 1)[-1]
    shown = _ESCAPES.sub("", shown).strip("\r")
    match = _PREFIX.match(shown)
    return Line(match[1], match[2]) if match else Line(None, shown)


class Console:
    """Bytes in, lines out. `lines` holds the complete ones; all() adds the open one."""

    def __init__(self):
        self.raw = bytearray()
        self.lines = []
        self._open = bytearray()

    def feed(self, data):
        self.raw += data
        *whole, rest = (self._open + data).split(b"\n")
        self.lines += [parse_line(line.decode("utf-8", "replace")) for line in whole]
        self._open = bytearray(rest)

    def all(self):
        """The complete lines and then the open one, which may still be empty or change."""
        return self.lines + [parse_line(self._open.decode("utf-8", "replace"))]
