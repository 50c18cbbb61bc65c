# SPDX-License-Identifier: Apache-2.0
"""What a person would see: the emulated machine's picture, read back into text by comparing every
character cell with the glyphs of a font."""
import os
import re
import select
import socket
import struct
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUR_FONT = os.path.join(TOP, "build/gen/font.h")
VGA_FONTS = {"qemu": "/usr/share/seabios/vgabios-stdvga.bin", "bochs": "/usr/share/bochs/VGABIOS-lgpl-latest"}
EXCLAMATION_MARK = bytes.fromhex("0000183c3c3c18181800181800000000")  # 21H in the font of every VGA BIOS

BOCHS_BAR = 32              # rows of buttons above the guest's picture
BOCHS_RESET = (643, 16)     # one of them


class Picture:
    """pixels: a byte each, 0 is black."""

    def __init__(self, width, height, pixels):
        self.width, self.height, self.pixels = width, height, pixels

    def cell(self, x, y, width, scale=1):
        """16 bytes, as in a font: the left pixel is the highest bit."""
        rows = []
        for row in range(16):
            at = (y + row * scale) * self.width + x
            rows.append(sum(bool(self.pixels[at + i * scale]) << (7 - i) for i in range(width)))
        return bytes(rows)

    def text(self, font, cell_width=8, scale=1):
        """The lines, without the blanks at their ends; '\ufffd' is what is no glyph of the font."""
        lines = []
        for y in range(0, self.height - 16 * scale + 1, 16 * scale):
            cells = (self.cell(x, y, 8, scale) for x in range(0, self.width - 7 * scale, cell_width * scale))
            lines.append("".join(font.get(cell, "\ufffd") for cell in cells).rstrip())
        return lines


def from_ppm(data):
    """As QEMU writes it."""
    match = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    width, height = int(match[1]), int(match[2])
    assert len(data) - match.end() == width * height * 3
    red = data[match.end()::3]  # all we draw is grey
    return Picture(width, height, red)


def _font(glyphs):
    """{16 bytes: character} of printable ASCII; 256 glyphs or fewer in the order of their codes."""
    return {glyphs[code * 16:code * 16 + 16]: chr(code) for code in reversed(range(0x20, 0x7f))}


def our_font():
    with open(OUR_FONT, encoding="ascii") as file:
        text = file.read().split("{", 1)[1]
    return _font(bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2})", text)))


def vga_font(emulator):
    with open(VGA_FONTS[emulator], "rb") as file:
        rom = file.read()
    return _font(rom[rom.index(EXCLAMATION_MARK) - 0x21 * 16:])


class Viewer:
    """A VNC client for Bochs' display library rfb: RFB 3.3, a byte a pixel, whole pictures."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._send(self._receive(12))
        self._receive(4)  # no password
        self._send(b"\1")
        self.width, self.height = struct.unpack(">HH", self._receive(4))
        self._receive(16)
        self._receive(struct.unpack(">I", self._receive(4))[0])
        self._send(struct.pack(">BxHi", 2, 1, 0))  # raw rectangles only
        self._pixels = bytearray(self.width * self.height)

    def _send(self, data):
        self._socket.sendall(data)

    def _receive(self, count):
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise EOFError("Bochs has closed its display")
            data += more
        return data

    def _update(self):
        """One message of Bochs."""
        kind, count = struct.unpack(">BxH", self._receive(4))
        assert kind == 0, kind
        for _ in range(count):
            x, y, width, height, encoding = struct.unpack(">HHHHi", self._receive(12))
            assert encoding == 0
            for row in range(y, y + height):
                at = row * self.width + x
                self._pixels[at:at + width] = self._receive(width)

    def picture(self, height):
        """The guest's picture, about as it is now: what Bochs has sent for a second. Its status bar never rests."""
        self._send(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        until = time.monotonic() + 1
        while select.select([self._socket], [], [], max(0, until - time.monotonic()))[0] and time.monotonic() < until:
            self._update()
        from_row = BOCHS_BAR * self.width
        return Picture(self.width, height, bytes(self._pixels[from_row:from_row + height * self.width]))

    def press_reset(self):
        for buttons in (1, 0):
            self._send(struct.pack(">BBHH", 5, buttons, *BOCHS_RESET))

    def close(self):
        self._socket.close()
