# SPDX-License-Identifier: Apache-2.0
"""A machine in software: Bochs, which has VMX, or QEMU, which has UEFI (and VMX where KVM nests).

One Machine is one run. Its COM1 is a pty; a thread reads it all the time, because an emulator whose
pty is full stands still. Nothing outlives a Machine: close() ends the emulator's process group, and
the kernel kills the emulator should its parent die first.
"""
import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import threading
import time
import tty
from typing import NamedTuple

import screen
from console import Console

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WITNESS = os.path.join(TOP, "build/rig/witness.so")

BOCHS_MODEL = "corei7_skylake_x"
TICKS_PER_SECOND = 50_000_000  # Bochs executes and counts this many per emulated second
VMREADS, VMWRITES = 128, 129   # as the witness counts them at a mark
LIFE = 128                     # in costs(): the exit that ended one, and all until the next one begins
WALL_PER_CPU_SECOND = 10       # how much slower than its CPU time a run may be on a busy host
OVMF_CODE = "/usr/share/OVMF/OVMF_CODE.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS.fd"

BOCHSRC = """\
config_interface: textconfig
display_library: {display}
cpu: model={model}, count={cpus}:1:1, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs={ignore_bad_msrs}, quantum=16
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type={medium}, path={image}, {details}
boot: {medium}
clock: sync=none, time0=1700000000, rtc_sync=0
log: {directory}/bochs.log
panic: action=fatal
com1: enabled=1, mode=term, dev={tty}
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
speaker: enabled=0
"""

# The BIOS waits 3 s for a key before it boots, 4 s of our time with 4 CPUs. At its timer interrupt
# (F000:FEA5 in every PC BIOS; a breakpoint there is seen at the second instruction) the debugger
# moves the clock that it waits by, a few times.
BIOS_TIMER = 0xffea6
BIOS_CLOCK = 0x46c
BIOS_TICKS_TO_SKIP = 9


class NotSeen(AssertionError):
    """What a test waited for did not come."""


class Found(NamedTuple):
    index: int  # of the line
    match: re.Match


def bochs_script(at_break, at_start=()):
    """Debugger commands: hurry the BIOS, run, and quit when the run ends or SIGINT stops it. at_start: what to do
    before GRUB is loaded; at_break: where a guest executes XCHG BX, BX, then it goes on."""
    lines = [f"pb {BIOS_TIMER:#x}", "c", "c"]
    for tick in range(BIOS_TICKS_TO_SKIP - 2):
        lines += ["c", f"setpmem {BIOS_CLOCK:#x} 4 {0x164000 + tick * 0x100:#x}"]
    return "\n".join([*lines, *at_start, "d 1", "c", *([*at_break, "c"] if at_break else []), "q", ""])


def host_has_nested_vmx():
    """May we use KVM, and does this CPU have VMX for it to hand on?"""
    try:
        with open("/sys/module/kvm_intel/parameters/nested", encoding="ascii") as file:
            nested = file.read().strip() in ("Y", "1")
        return nested and os.access("/dev/kvm", os.R_OK | os.W_OK)
    except OSError:
        return False


class Machine:
    """start it by constructing it; use it as a context manager or close() it."""

    def __init__(self, image, directory, emulator="bochs", cpus=4, memory=512, model=None, uefi=False, kvm=False,
                 any_msr=False, disk=False, watched=False, extra=(), at_break=(), at_start=(), trace=None, regs_at=(),
                 costs=False):
        """image: a CD, or with `disk` a disk: Bochs' first one, QEMU's stick on USB. trace: offsets of the
        hypervisor's image, the first its entry point, which tests/rig/trace.c looks for: see tracing.py. regs_at:
        others, where it looks at the registers.
        any_msr: Bochs lets MSRs pass that it lacks; Linux without Mullion needs that. watched: Bochs shows its
        screen to picture(); QEMU always does. at_break: commands for Bochs' debugger, given when a guest executes
        XCHG BX, BX; at_start: before GRUB is loaded. costs: count what each exit costs, see costs()."""
        self.directory = os.path.abspath(directory)
        self.console = Console()
        self._at_break, self._at_start, self._watched = at_break, at_start, watched
        self._trace, self._regs_at, self._costs = trace, regs_at, costs
        self._viewer = None
        self.on_output = None  # called with each piece of output, on the reader's thread
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        self._pty, child_end = pty.openpty()
        tty.setraw(child_end)
        os.set_blocking(self._pty, False)
        build = self._bochs if emulator == "bochs" else self._qemu
        self.emulator = emulator
        command, environment = build(os.path.abspath(image), os.ttyname(child_end), cpus, memory,
                                     model, uefi, kvm, any_msr, disk, list(extra))
        self._changed = threading.Condition()
        self._asked = 0
        with open(self._path("stdout"), "wb") as out, open(self._path("stderr"), "wb") as err:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.DEVNULL if emulator == "bochs" else subprocess.PIPE, stdout=out, stderr=err,
                env={**os.environ, **environment}, cwd=self.directory, start_new_session=True)
        if emulator != "bochs":
            self._ask("qmp_capabilities")
        self._child_end = child_end  # kept open: a pty nobody has open yet reads as an error
        self._cpu_seconds = 0.0
        self._closed = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- what to run ------------------------------------------------------------------------
    def _path(self, name):
        return os.path.join(self.directory, name)

    def _bochs(self, image, tty_name, cpus, memory, model, _uefi, _kvm, any_msr, disk, extra):
        text = BOCHSRC.format(model=model or BOCHS_MODEL, cpus=cpus, ips=TICKS_PER_SECOND,
                              ignore_bad_msrs=int(any_msr), memory=memory, image=image,
                              medium="disk" if disk else "cdrom", directory=self.directory, tty=tty_name,
                              details="mode=volatile, translation=auto" if disk else "status=inserted",
                              display='rfb, options="timeout=0"' if self._watched else "sdl2")
        with open(self._path("bochsrc"), "w", encoding="utf-8") as file:
            file.write("\n".join([text, *extra, f"magic_break: enabled={int(bool(self._at_break))}", ""]))
        with open(self._path("script"), "w", encoding="utf-8") as file:
            file.write(bochs_script(self._at_break, self._at_start))
        environment = {"SDL_VIDEODRIVER": "dummy"}
        if os.path.exists(WITNESS):
            environment |= {"LD_PRELOAD": WITNESS, "MULLION_WITNESS": self._path("witness")}
            if self._costs:
                environment["MULLION_COSTS"] = self._path("costs")
            if self._trace is not None:
                environment |= {"MULLION_TRACE": self._path("trace"),
                                "MULLION_TRACE_MARKS": ",".join(f"{mark:x}" for mark in self._trace),
                                "MULLION_TRACE_REGS": ",".join(f"{place:x}" for place in self._regs_at)}
        return ["bochs-bin", "-q", "-f", self._path("bochsrc"), "-rc", self._path("script")], \
            environment

    def _qemu(self, image, tty_name, cpus, memory, model, uefi, kvm, _any_msr, disk, extra):
        command = ["qemu-system-x86_64", "-display", "none", "-no-reboot", "-nodefaults",
                   "-d", "cpu_reset", "-D", self._path("qemu.log"), "-qmp", "stdio",
                   "-m", str(memory), "-smp", str(cpus), "-vga", "std",
                   "-chardev", f"serial,id=com1,path={tty_name}", "-serial", "chardev:com1"]
        if disk:
            command += ["-drive", f"if=none,id=stick,format=raw,snapshot=on,file={image}",
                        "-device", "qemu-xhci", "-device", "usb-storage,drive=stick"]
        else:
            command += ["-cdrom", image]
        if kvm:
            command += ["-accel", "kvm", "-cpu", model or "host"]
        else:
            command += ["-accel", "tcg", "-cpu", model or "max"]
        if uefi:
            shutil.copy(OVMF_VARS, self._path("vars.fd"))
            command += ["-machine", "q35",
                        "-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}",
                        "-drive", f"if=pflash,format=raw,file={self._path('vars.fd')}"]
        return command + extra, {}

    # ---- its output -------------------------------------------------------------------------
    def _read(self):
        while True:
            over = self._process.poll() is not None
            readable = select.select([self._pty], [], [], 0 if over else 0.2)[0]
            if not readable:
                if over:
                    break
                continue
            data = os.read(self._pty, 65536)
            with self._changed:
                self.console.feed(data)
                self._changed.notify_all()
            if self.on_output:
                self.on_output(data)
        with self._changed:
            self._changed.notify_all()

    @property
    def running(self):
        """True until the emulator has ended and all its output is read."""
        return self._reader.is_alive()

    def cpu_seconds(self):
        """CPU time of the emulator: the clock by which a run can be late, however busy the host."""
        try:
            with open(f"/proc/{self._process.pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            spent = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            self._cpu_seconds = max(self._cpu_seconds, spent)
        except (OSError, IndexError):
            pass
        return self._cpu_seconds

    def _wait(self, done, timeout, what):
        """Until done() is not None: its value. timeout in seconds of the emulator's CPU time."""
        cpu_end = self.cpu_seconds() + timeout
        wall_end = time.monotonic() + timeout * WALL_PER_CPU_SECOND
        with self._changed:
            while True:
                over = not self.running
                result = done()
                if result is not None:
                    return result
                if over:
                    raise NotSeen(f"the run ended ({self.ending()}) without {what}\n{self.tail()}")
                if self.cpu_seconds() > cpu_end or time.monotonic() > wall_end:
                    raise NotSeen(f"no {what} within {timeout} s\n{self.tail()}")
                self._changed.wait(0.5)

    def here(self):
        """A mark: the index of the next line to come."""
        with self._changed:
            return len(self.console.lines)

    def find(self, pattern, name=None, since=0):
        """First line (of `name`) that matches, or None."""
        with self._changed:
            for index, line in enumerate(self.console.all()[since:], since):
                match = re.search(pattern, line.text) if name in (None, line.name) else None
                if match:
                    return Found(index, match)
        return None

    def wait_for(self, pattern, name=None, since=0, timeout=60):
        """The first line, whole or open, of `name` from mark `since` on that matches."""
        who = f" from {name}" if name else ""
        return self._wait(lambda: self.find(pattern, name, since), timeout,
                          f"line matching {pattern!r}{who}")

    def wait_for_end(self, timeout=60):
        """Until the guest ends the run. Returns ending()."""
        self._wait(lambda: None if self.running else True, timeout, "end of the run")
        return self.ending()

    def wait_for_reset(self, timeout=60):
        """Until Bochs' log counts a hardware reset behind that of power-on. Its BIOS may find a keyboard error then,
        depending on the tick."""
        self._wait(lambda: self._said("bochs.log").count("Reset(HARDWARE) called") > 1 or None, timeout, "reset")

    def lines(self, name=None, since=0):
        """The texts of the complete lines, of one partition or of all."""
        with self._changed:
            return [line.text for line in self.console.lines[since:] if name in (None, line.name)]

    def tail(self, count=30):
        with self._changed:
            text = self.console.raw.decode("utf-8", "replace")
        lines = [repr(line) for line in text.split("\n")[-count:]]
        return f"the last lines of {self.directory}:\n" + "\n".join(lines)

    # ---- its input --------------------------------------------------------------------------
    def send(self, data):
        """Type into COM1."""
        data = data.encode() if isinstance(data, str) else data
        while data:
            select.select([], [self._pty], [], 1)
            try:
                data = data[os.write(self._pty, data):]
            except BlockingIOError:
                if not self.running:
                    return

    # ---- QEMU's monitor ---------------------------------------------------------------------
    def _ask(self, command, **arguments):
        self._asked += 1
        question = {"execute": command, "arguments": arguments, "id": self._asked}
        with contextlib.suppress(BrokenPipeError):  # it has ended: its log says why
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()

    def qmp(self, command, **arguments):
        """Ask QEMU, which answers into the file stdout. The answer's value."""
        self._ask(command, **arguments)
        give_up = time.monotonic() + 60
        while self._process.poll() is None and time.monotonic() < give_up:
            for answer in self._qmp_said():
                if answer.get("id") == self._asked:
                    return answer["return"]
            time.sleep(0.02)
        raise NotSeen(f"no answer to {command}: {self._said('stdout')[-500:]}{self._said('stderr')[-500:]}")

    def _qmp_said(self):
        return [json.loads(line) for line in self._said("stdout").split("\n")[:-1]]

    def monitor(self, line):
        """What QEMU's monitor for people says to a line."""
        return self.qmp("human-monitor-command", **{"command-line": line})

    def wait_for_event(self, name, timeout=60):
        """The data of QEMU's first event of that name."""
        def seen():
            return next((said["data"] for said in self._qmp_said() if said.get("event") == name), None)
        return self._wait(seen, timeout, f"event {name}")

    def memory(self, address, size):
        """A piece of QEMU's physical memory."""
        self.qmp("pmemsave", val=address, size=size, filename=self._path("memory"))
        with open(self._path("memory"), "rb") as file:
            return file.read()

    # ---- its screen -------------------------------------------------------------------------
    def viewer(self):
        """Whom a watched Bochs shows its screen."""
        if self._viewer is None:
            port = self._wait(lambda: re.search(r"listening for connections on port (\d+)", self._said("bochs.log")),
                              20, "port of Bochs' display")
            self._viewer = screen.Viewer(int(port[1]))
        return self._viewer

    def picture(self, height=400):
        """What is on the screen now; of Bochs' only `height` rows, as it has a frame around the guest's."""
        if self.emulator == "bochs":
            return self.viewer().picture(height)
        self.qmp("screendump", filename=self._path("screen.ppm"))
        with open(self._path("screen.ppm"), "rb") as file:
            return screen.from_ppm(file.read())

    def press_reset(self):
        """The button of the case: memory stays. Returns a mark."""
        mark = self.here()
        if self.emulator == "bochs":
            self.viewer().press_reset()
            self.picture()  # it has been seen by now; Bochs stands still while nobody reads what it shows
            self._viewer.close()
            self._viewer = None
        else:
            self.qmp("set-action", reboot="reset")
            self.qmp("system_reset")
        return mark

    # ---- its end ----------------------------------------------------------------------------
    def ending(self):
        """'running', 'closed' (by us), 'poweroff', 'reset' (QEMU's; Bochs goes on), 'triple fault' or what the
        emulator said."""
        if self._process.poll() is None:
            return "running"
        if self._closed:
            return "closed"
        known = self._bochs_ending() if self.emulator == "bochs" else self._qemu_ending()
        return known or f"status {self._process.returncode}: " + self._said("stderr")[-500:]

    def _said(self, name):
        try:
            with open(self._path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def _bochs_ending(self):
        said = self._said("stderr") + self._said("bochs.log")
        for words, ending in (("shutdown requested", "poweroff"),
                              ("soft power off", "poweroff"),
                              ("with no resolution", "triple fault")):
            if words in said:
                return ending
        return None

    def _qemu_ending(self):
        if "Triple fault" in self._said("qemu.log"):
            return "triple fault"
        reasons = [said["data"]["reason"] for said in self._qmp_said() if said.get("event") == "SHUTDOWN"]
        return {"guest-shutdown": "poweroff", "guest-reset": "reset"}.get(*reasons[-1:]) if reasons else None

    def close(self):
        """End the run if it has not ended. SIGINT first: Bochs then takes the next line of its
        script, and by the quit at the end of it writes its last figures."""
        for number in [signal.SIGINT] * 2 * BIOS_TICKS_TO_SKIP + [signal.SIGKILL]:
            if self._process.poll() is None:
                self._closed = True
                os.killpg(self._process.pid, number)
                try:
                    self._process.wait(0.3 if number == signal.SIGINT else None)
                except subprocess.TimeoutExpired:
                    pass
        self._reader.join(10)
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        if self._viewer:
            self._viewer.close()
        for end in (self._pty, self._child_end):
            if end is not None:
                os.close(end)
        self._pty = self._child_end = None

    # ---- its figures ------------------------------------------------------------------------
    def witness(self):
        """Rows of tests/rig/witness.c, [(ticks, {(cpu, reason): exits})]: one for each line of the
        console, and one for the end of the run if it has ended."""
        return [_witness_row(row) for row in self._said("witness").split("\n")[:-1]]

    def marks(self):
        """The marks that a guest set, as the witness saw them. VMREADS and VMWRITES are reasons here, too."""
        return [_mark(row) for row in self._said("witness.marks").split("\n")[:-1]]

    def each_exit(self):
        """The exits since a guest set its first mark."""
        return [_exit(*row.split()) for row in self._said("witness.exits").split("\n")[:-1]]

    def deeds(self):
        """What the hypervisor did against leaks by speculation: [(ticks, cpu, "verw")] and, of an MSR written,
        [(ticks, cpu, number, value)]."""
        rows = [row.split() for row in self._said("witness.deeds").split("\n")[:-1]]
        return [(_ticks(when), int(cpu), *(word if word == "verw" else int(word, 16) for word in words))
                for when, cpu, *words in rows]

    def costs(self):
        """{reason: Cost}, of a run that has ended. LIFE is a reason here, too."""
        return {int(row[0]): Cost(*map(int, row[1:5]), int(row[5], 16), int(row[6]))
                for row in map(str.split, self._said("costs").split("\n")[:-1])}

    def exits(self):
        """{reason: count} over all CPUs, as the emulator saw them until its last row."""
        total = {}
        for (_, reason), count in (self.witness() or [(0, {})])[-1][1].items():
            total[reason] = total.get(reason, 0) + count
        return total


class Cost(NamedTuple):
    """Instructions of the hypervisor between the exits of a reason and the entries after them."""
    count: int
    total: int
    worst: int
    when: int           # the worst, in nanoseconds
    qualification: int  # its
    cpu: int            # its


class Mark(NamedTuple):
    """A guest says where it is; what happened until then, {(cpu, reason): count}."""
    ticks: int
    number: int
    counts: dict


def _mark(row):
    _, nanoseconds, number, *cells = row.split()
    return Mark(_ticks(nanoseconds), int(number), _counts(cells))


class Exit(NamedTuple):
    """One VM exit; from eax on, the guest's registers."""
    ticks: int
    cpu: int
    reason: int
    qualification: int
    eax: int
    ecx: int
    rip: int


def _exit(nanoseconds, cpu, reason, *hexadecimal):
    return Exit(_ticks(nanoseconds), int(cpu), int(reason), *(int(word, 16) for word in hexadecimal))


def _witness_row(row):
    nanoseconds, *cells = row.split()
    return _ticks(nanoseconds), _counts(cells)


def _ticks(nanoseconds):
    return int(nanoseconds) * TICKS_PER_SECOND // 10**9


def _counts(cells):
    counts = {}
    for cell in cells:
        cpu, reason, count = cell.split(":")
        counts[int(cpu), int(reason)] = int(count)
    return counts
