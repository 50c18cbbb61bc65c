#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make run`: the image in an emulator, its console in your terminal.

Ends with status 0 when the machine powers off, 1 if Mullion said that a partition failed, 2 if the
emulator went down by itself; Ctrl-C ends it with 0."""
import argparse
import os
import select
import signal
import sys
import termios
import threading
import time

from emulator import BOCHS_MODEL, TOP, Machine, host_has_nested_vmx

sys.path.append(os.path.join(TOP, "tests/system"))
from messages import PARTITION_FAILED  # noqa: E402

CTRL_C = b"\x03"
ERASE_LINE = "\r\x1b[K"


class Terminal:
    """The user's terminal, keys as they are pressed; restored by close(), whatever happens."""

    def __init__(self):
        self.lock = threading.Lock()
        self.is_tty = sys.stdout.isatty()
        self.saved = None
        if sys.stdin.isatty() and self.is_tty:
            self.saved = termios.tcgetattr(0)
            keys = termios.tcgetattr(0)
            keys[0] &= ~(termios.ICRNL | termios.IXON | termios.INLCR | termios.IGNCR)
            keys[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
            termios.tcsetattr(0, termios.TCSADRAIN, keys)

    def write(self, data):
        data = data.encode() if isinstance(data, str) else data
        with self.lock:
            while data:
                data = data[os.write(1, data):]

    def close(self):
        if self.saved:
            termios.tcsetattr(0, termios.TCSADRAIN, self.saved)
            self.saved = None


class Progress:
    """One line that says what is going on until the console speaks."""

    def __init__(self, terminal, text):
        self.terminal = terminal
        self.text = text
        self.start = time.monotonic()
        self.shown = None
        self.over = False
        if not terminal.is_tty:
            terminal.write(text + "\n")

    def tick(self):
        seconds = int(time.monotonic() - self.start)
        if self.terminal.is_tty and not self.over and seconds != self.shown:
            self.shown = seconds
            self.terminal.write(f"{ERASE_LINE}{self.text} {seconds} s")

    def end(self):
        if not self.over:
            self.over = True
            if self.terminal.is_tty:
                self.terminal.write(ERASE_LINE)


def choose(emulator):
    """(emulator, kvm)."""
    kvm = host_has_nested_vmx()
    if emulator == "bochs" or (not emulator and not kvm):
        return "bochs", False
    return "qemu", kvm


def hint(emulator, kvm, args, directory):
    if emulator == "bochs":
        where = f"Bochs ({args.model or BOCHS_MODEL})"
    elif kvm:
        where = "QEMU with KVM"
    else:
        where = "QEMU, which has no VMX: expect a refusal"
    place = os.path.relpath(directory, os.getcwd())
    return (f"Mullion on {args.cpus} CPUs and {args.memory} MiB in {where}; see also {place}/\n"
            "  Ctrl-]  gives the keyboard to the next partition\n"
            "  Ctrl-C  ends the run\n")


def converse(machine, terminal, progress):
    """Keys to the guest until it ends (True) or the user ends it (False)."""
    while machine.running:
        progress.tick()
        if not terminal.saved:
            time.sleep(0.2)
            continue
        if select.select([0], [], [], 0.2)[0]:
            keys = os.read(0, 1024)
            before, stop, _ = keys.partition(CTRL_C)
            machine.send(before)
            if stop or not keys:
                return False
    return True


def verdict(machine, terminal):
    ending = machine.ending()
    failed = machine.find(PARTITION_FAILED, "mullion")
    if ending != "poweroff":
        terminal.write(f"The emulator ended: {ending}\n")
        return 2
    return 1 if failed else 0


def stop_on_signal(*_):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--iso", required=True)
    parser.add_argument("--emu", default="", help="bochs or qemu (default: what can run it)")
    parser.add_argument("--cpus", type=int, default=4)
    parser.add_argument("--memory", type=int, default=1024, help="MiB")
    parser.add_argument("--model", default="", help="CPU model of the emulator")
    parser.add_argument("--directory", default=os.path.join(TOP, "build/run"))
    args = parser.parse_args()
    if args.emu not in ("", "bochs", "qemu"):
        parser.error(f"EMU={args.emu}: there are bochs and qemu")

    emulator, kvm = choose(args.emu)
    directory = os.path.abspath(args.directory)
    signal.signal(signal.SIGTERM, stop_on_signal)
    signal.signal(signal.SIGHUP, stop_on_signal)
    terminal = Terminal()
    machine = None
    status = 0
    try:
        terminal.write(hint(emulator, kvm, args, directory))
        progress = Progress(terminal, "Firmware and GRUB are loading Mullion ...")
        machine = Machine(args.iso, directory, emulator=emulator, cpus=args.cpus, kvm=kvm,
                          memory=args.memory, model=args.model or None)

        def show(data):
            progress.end()
            terminal.write(data)

        machine.on_output = show
        if converse(machine, terminal, progress):
            progress.end()
            status = verdict(machine, terminal)
        else:
            terminal.write("\nEnded.\n")
    except KeyboardInterrupt:
        status = 130
    finally:
        if machine:
            machine.close()
        terminal.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
